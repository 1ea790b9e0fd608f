package daemon_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// visitor is a browser without scripts.
type visitor struct {
	testing.TB
	http *http.Client
	base string
}

func (v *visitor) read(resp *http.Response, err error) string {
	v.Helper()
	if err != nil {
		v.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.Fatal(err)
	}
	return resp.Status + "\n" + string(body)
}

func (v *visitor) get(path string) string {
	v.Helper()
	req, err := http.NewRequestWithContext(v.Context(), http.MethodGet, v.base+path, http.NoBody)
	if err != nil {
		v.Fatal(err)
	}
	return v.read(v.http.Do(req))
}

func (v *visitor) post(path string, fields url.Values) string {
	v.Helper()
	req, err := http.NewRequestWithContext(v.Context(), http.MethodPost, v.base+path, strings.NewReader(fields.Encode()))
	if err != nil {
		v.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.read(v.http.Do(req))
}

func TestTheWebPageIsServedBesideTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[{"id":1,"name":"Ann"}]}`, "")
	b.baselined(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{TB: t, http: &http.Client{Jar: jar}, base: "http://" + b.daemon.Addr()}
	contains := func(body string, words ...string) {
		t.Helper()
		for _, w := range words {
			if !strings.Contains(body, w) {
				t.Fatalf("the page lacks %q:\n%s", w, body)
			}
		}
	}
	contains(v.get("/"), "200 OK", "things", "</html>")
	contains(v.get("/healthz"), "200 OK\nok")
	if body := v.get("/api/v1/status"); !strings.Contains(body, `"source":"things"`) {
		t.Errorf("the API says %s", body)
	}

	// Without a session the form leads to the login, and what was asked for is not done.
	contains(v.post("/act/pause", url.Values{"source": {"things"}}), "Sign in", "/act/pause?source=things")
	contains(v.post("/login", url.Values{"token": {"wrong"}}), "403 Forbidden", "this is not the admin token")
	form := v.post("/login", url.Values{"token": {"act"}, "next": {"/act/pause?source=things"}})
	contains(form, "Pause things")
	csrf := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(form)
	if csrf == nil {
		t.Fatalf("the form has no token:\n%s", form)
	}
	contains(v.post("/act/pause", url.Values{"source": {"things"}, "csrf": {"guessed"}}), "403 Forbidden", "Nothing was done")
	contains(v.post("/act/pause", url.Values{"source": {"things"}, "csrf": {csrf[1]}, "back": {"/"}}), "things is paused")
	status, err := b.client.Status(t.Context())
	if err != nil || status.Sources[0].State != "paused" {
		t.Fatalf("%+v, %v", status.Sources, err)
	}
}
