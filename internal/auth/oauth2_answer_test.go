package auth

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestTokenAnswersOfAllSorts(t *testing.T) {
	now := newClock().now()
	for _, test := range []struct {
		body   string
		status int // 0: 200
		path   string
		access string // empty: an error
		life   time.Duration
		says   string // in the error
	}{
		{body: `{"access_token":"a","token_type":"bearer","expires_in":3600}`, access: "a", life: time.Hour},
		{body: `{"access_token":"a","expires_in":"3600"}`, access: "a", life: time.Hour},
		{body: `{"access_token":"a","expires_in":3599.5}`, access: "a", life: 3599500 * time.Millisecond},
		{body: `{"access_token":"a","expires_in":1795438800}`, access: "a", life: time.Hour},
		{body: `{"access_token":"a","expires_in":"1795438800000"}`, access: "a", life: time.Hour},
		{body: `{"access_token":"a","expires_in":"2026-11-23T13:00:00Z"}`, access: "a", life: time.Hour},
		{body: `{"access_token":"a","expires_in":0}`, access: "a"},
		{body: `{"access_token":"a","expires_in":-5}`, access: "a"},
		{body: `{"access_token":"a","expires_in":null}`, access: "a"},
		{body: `{"access_token":"a","expires_in":"never"}`, access: "a"},
		{body: `{"access_token":"a","expires_in":1e300}`, access: "a"},
		{body: `{"access_token":"a","expires_in":"2020-01-01T00:00:00Z"}`, access: "a"},
		{body: `{"access_token":"a","token_type":"BearerToken"}`, access: "a"},
		{body: "\xef\xbb\xbf {\"access_token\":\"a\"}\r\n", access: "a"},
		{body: `access_token=a%2Fb&expires_in=3600&token_type=bearer`, access: "a/b", life: time.Hour},
		{body: `{"data":{"auth":{"jwt":"deep"}}}`, path: "data.auth.jwt", access: "deep"},
		{body: `{"access_token":"a","token_type":"MAC"}`, says: `type "MAC"`},
		{body: `{"access_token":"a","token_type":"dpop"}`, says: `type "dpop"`},
		{body: `{"error":"invalid_scope","error_description":"no such scope"}`, says: "invalid_scope, no such scope"},
		{body: `{"error":"invalid_client"}`, status: 401, says: "invalid_client"},
		{body: `{"error":{"code":"E42","message":"nope"}}`, status: 400, says: "E42, nope"},
		{body: `error=invalid_grant&error_description=old+code`, says: "invalid_grant, old code"},
		{body: `{"message":"locked"}`, status: 403, says: "locked"},
		{body: `{"access_token":"a"}`, status: 500, says: "no token, and no reason"},
		{body: `<html>busy</html>`, status: 404, says: "no token, and no reason"},
		{body: `{"access_token":"","scope":""}`, says: "it has: access_token, scope"},
		{body: `{"access_token":12}`, says: "it has: access_token"},
		{body: `{"id_token":"hidden-value","token":"hidden-value"}`, says: "no access_token in the answer; it has: id_token, token"},
		{body: `<html>login</html>`, says: "no JSON object"},
		{body: ``, says: "no JSON object"},
		{body: `{"access_token":"a"`, says: "no JSON object"},
	} {
		c := Config{}
		if test.path != "" {
			c.TokenPath = path(test.path)
		}
		status := test.status
		if status == 0 {
			status = 200
		}
		a, err := parseToken(&reply{status: status, body: []byte(test.body)}, &c, now)
		switch {
		case test.access == "":
			if _, ok := errors.AsType[*refusal](err); !ok || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "hidden-value") {
				t.Errorf("%s: %v, want %q", test.body, err, test.says)
			}
		case err != nil || a.access != test.access || a.life != test.life:
			t.Errorf("%s: %+v, %v", test.body, a, err)
		}
	}
}

func TestAnEndInAnotherPlaceIsFound(t *testing.T) {
	now := newClock().now()
	c := Config{ExpiresPath: path("data.until")}
	a, err := parseToken(&reply{status: 200, body: []byte(`{"access_token":"a","expires_in":1,"data":{"until":"2026-11-23 12:30:00"}}`)}, &c, now)
	if err != nil || a.life != 30*time.Minute {
		t.Errorf("%+v, %v", a, err)
	}
}

func FuzzTokenAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"a","expires_in":3600,"refresh_token":"r"}`, `{"error":"x","error_description":"y"}`, `access_token=a&expires_in=1`,
		`{"access_token":"a","expires_in":"2026-11-23T13:00:00Z"}`, `{"error":{"code":1}}`, ``, `[]`, "\xef\xbb\xbf{}",
	} {
		f.Add(200, []byte(seed))
		f.Add(400, []byte(seed))
	}
	now := newClock().now()
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		a, err := parseToken(&reply{status: status, body: body}, &Config{}, now)
		switch {
		case err == nil && (a.access == "" || a.life < 0 || status > 299):
			t.Fatalf("%+v with status %d", a, status)
		case err != nil:
			if _, ok := errors.AsType[*refusal](err); !ok || err.Error() == "" || a != nil {
				t.Fatalf("%+v, %v", a, err)
			}
		}
		// Whatever a token is made of, it comes through as it is.
		text := strings.ToValidUTF8(string(body), "")
		answer, err := json.Marshal(map[string]string{"access_token": text})
		if err != nil || text == "" {
			return
		}
		if a, err = parseToken(&reply{status: 200, body: answer}, &Config{}, now); err != nil || a.access != text {
			t.Fatalf("%q became %+v, %v", text, a, err)
		}
	})
}
