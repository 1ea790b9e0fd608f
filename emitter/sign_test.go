package emitter

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The shared inputs of the published vectors.
const (
	vectorID     = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorTime   = 1614265330
	vectorBody   = `{"test": 2432232314}`
	vectorSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorV1     = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func signed(t *testing.T, secrets ...string) http.Header {
	t.Helper()
	return signedAs(t, SignOptions{Style: "standard", Keys: signingKeys(secrets...)}, vector())
}

func signingKeys(secrets ...string) []SigningKey {
	list := make([]SigningKey, len(secrets))
	for i, s := range secrets {
		list[i].Secret = s
	}
	return list
}

func vector() Message {
	return Message{
		ID: vectorID, At: time.Unix(vectorTime, 999_000_000), Type: "contacts.updated", Method: "POST", URL: "https://example.com/foo?a=b",
		Body: []byte(vectorBody),
	}
}

func signedAs(t *testing.T, o SignOptions, m Message) http.Header {
	t.Helper()
	s, err := NewSigner(o)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{"Content-Type": {"application/json"}}
	if err := s.Sign(h, &m); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestStandardWebhooksVector(t *testing.T) {
	for name, secret := range map[string]string{
		"as published":  vectorSecret,
		"no whsec_":     strings.TrimPrefix(vectorSecret, "whsec_"),
		"padded":        "whsec_" + base64.StdEncoding.EncodeToString(mustKey(t, vectorSecret)),
		"padding added": vectorSecret + "=",
	} {
		h := signed(t, secret)
		if got := exactly(h, "webhook-signature"); got != vectorV1 {
			t.Errorf("%s: signature %q, want %q", name, got, vectorV1)
		}
		if exactly(h, "webhook-id") != vectorID || exactly(h, "webhook-timestamp") != "1614265330" {
			t.Errorf("%s: headers %v", name, h)
		}
	}
}

// exactly gives the one value of a header in this very spelling.
func exactly(h http.Header, name string) string {
	if values := h[name]; len(values) == 1 {
		return values[0]
	}
	return ""
}

func mustKey(t *testing.T, secret string) []byte {
	t.Helper()
	key, err := standardKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key.secret
}

func TestRotationSignsWithEachSecretSeparatedByOneBlank(t *testing.T) {
	other := GenerateSecret()
	h := signed(t, other, vectorSecret)
	list := strings.Split(exactly(h, "webhook-signature"), " ")
	if len(list) != 2 || list[1] != vectorV1 || list[0] == vectorV1 || !strings.HasPrefix(list[0], "v1,") {
		t.Fatalf("signatures %q", list)
	}
	for _, secret := range []string{other, vectorSecret} {
		if err := Verify(h, []byte(vectorBody), []string{secret}, time.Unix(vectorTime, 0), DefaultTolerance); err != nil {
			t.Errorf("verify with one of the secrets: %v", err)
		}
	}
}

// T22: the same prefix whsec_ stands for another derivation at Stripe, where the whole string is the key.
func TestT22AStandardSecretIsDecodedAndNotTakenAsText(t *testing.T) {
	mac := hmac.New(sha256.New, []byte(vectorSecret))
	_, _ = mac.Write([]byte(vectorID + ".1614265330." + vectorBody))
	text := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if got := exactly(signed(t, vectorSecret), "webhook-signature"); got == text {
		t.Fatal("the text of the secret was used as the key")
	}
}

// T23, D17: an empty or short key signs nothing.
func TestT23D17AnEmptyOrWeakSecretIsRefused(t *testing.T) {
	for _, secret := range []string{"", "whsec_", "whsec_====", "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 23)), "whsec_not base64!", "p@ssw0rd"} {
		_, err := NewSigner(SignOptions{Style: "standard", Keys: signingKeys(secret)})
		if err == nil {
			t.Errorf("secret %q was accepted", secret)
		} else if len(secret) > 6 && strings.Contains(err.Error(), strings.TrimPrefix(secret, "whsec_")) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
	if _, err := NewSigner(SignOptions{Style: "standard", Keys: signingKeys("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 24)))}); err != nil {
		t.Errorf("24 bytes: %v", err)
	}
	if _, err := NewSigner(SignOptions{Style: "standard"}); err == nil {
		t.Error("no secret at all was accepted")
	}
	if _, err := NewSigner(SignOptions{Style: "standart", Keys: signingKeys(vectorSecret)}); err == nil {
		t.Error("an unknown style was accepted")
	}
}

func TestSignNoneSendsIDAndTimeButNoSignature(t *testing.T) {
	h := signedAs(t, SignOptions{Style: "none"}, vector())
	if len(h) != 3 || exactly(h, "webhook-id") == "" || exactly(h, "webhook-timestamp") == "" {
		t.Fatalf("headers %v", h)
	}
}

func TestAGeneratedSecretIsStrongAndNeverTheSame(t *testing.T) {
	a, b := GenerateSecret(), GenerateSecret()
	if a == b || len(mustKey(t, a)) != 32 || !strings.HasPrefix(a, "whsec_") {
		t.Fatalf("secrets %q and %q", a, b)
	}
}

func TestVerifySaysWhatIsWrong(t *testing.T) {
	now := time.Unix(vectorTime, 0)
	tests := []struct {
		name   string
		edit   func(h http.Header)
		body   string
		at     time.Time
		secret string
		want   error
		text   string
	}{
		{name: "valid", at: now},
		{name: "valid at the edge of the tolerance", at: now.Add(DefaultTolerance)},
		{name: "canonical header names", at: now, edit: func(h http.Header) {
			for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
				h.Set(name, h[name][0])
				delete(h, name)
			}
		}},
		{name: "foreign versions are ignored", at: now, edit: func(h http.Header) { h["webhook-signature"] = []string{"v1a,AAAA v2,x " + vectorV1} }},
		{name: "no id", at: now, edit: func(h http.Header) { delete(h, "webhook-id") }, want: ErrMissingHeader, text: "webhook-id"},
		{name: "no signature", at: now, edit: func(h http.Header) { delete(h, "webhook-signature") }, want: ErrMissingHeader, text: "webhook-signature"},
		{name: "timestamp in milliseconds", at: now, edit: func(h http.Header) { h["webhook-timestamp"] = []string{"1614265330000"} }, want: ErrTimestamp, text: "future"},
		{name: "timestamp is text", at: now, edit: func(h http.Header) { h["webhook-timestamp"] = []string{"now"} }, want: ErrTimestamp, text: "Unix seconds"},
		{name: "too old", at: now.Add(DefaultTolerance + time.Second), want: ErrTimestamp, text: "5m1s ago"},
		{name: "too new", at: now.Add(-DefaultTolerance - time.Second), want: ErrTimestamp, text: "future"},
		{name: "body re-encoded", at: now, body: `{"test":2432232314}`, want: ErrSignature, text: "byte for byte"},
		{name: "another secret", at: now, secret: GenerateSecret(), want: ErrSignature},
		{name: "another id", at: now, edit: func(h http.Header) { h["webhook-id"] = []string{"msg_other"} }, want: ErrSignature},
		{name: "only v1a", at: now, edit: func(h http.Header) { h["webhook-signature"] = []string{"v1a,AAAA"} }, want: ErrSignature, text: "has no signature of this style"},
		{name: "secret unusable", at: now, secret: "short", want: ErrSecret},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := signed(t, vectorSecret)
			if tt.edit != nil {
				tt.edit(h)
			}
			body, secret := vectorBody, vectorSecret
			if tt.body != "" {
				body = tt.body
			}
			if tt.secret != "" {
				secret = tt.secret
			}
			err := Verify(h, []byte(body), []string{secret}, tt.at, DefaultTolerance)
			if !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%q does not say %q", err, tt.text)
			}
		})
	}
	if err := Verify(signed(t, vectorSecret), []byte(vectorBody), []string{vectorSecret}, now.Add(1000*time.Hour), 0); err != nil {
		t.Errorf("tolerance 0 must not look at the clock: %v", err)
	}
	if err := Verify(signed(t, vectorSecret), []byte(vectorBody), nil, now, 0); !errors.Is(err, ErrSecret) {
		t.Errorf("no secret: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(vectorID, "1614265330", vectorV1, []byte(vectorBody))
	f.Add("", "-1", "v1,", []byte(nil))
	f.Add("a.b", "99999999999999999999", "v1,AAAA v1a,BBBB", []byte("{}"))
	key, err := standardKey(vectorSecret)
	if err != nil {
		f.Fatal(err)
	}
	genuineSigner, err := NewSigner(SignOptions{Style: "standard", Keys: signingKeys(vectorSecret)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, ts, list string, body []byte) {
		h := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {ts}, "Webhook-Signature": {list}}
		err := Verify(h, body, []string{vectorSecret}, time.Unix(vectorTime, 0), DefaultTolerance)
		mac := hmac.New(sha256.New, key.secret)
		_, _ = mac.Write([]byte(id + "." + ts + "."))
		_, _ = mac.Write(body)
		genuine := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		if err == nil && !strings.Contains(" "+strings.Join(strings.Fields(list), " ")+" ", " "+genuine+" ") {
			t.Fatalf("a forgery verifies: %q %q %q", id, ts, list)
		}
		if id == "" || bytes.ContainsAny([]byte(id), "\r\n") {
			return
		}
		own := http.Header{}
		if serr := genuineSigner.Sign(own, &Message{ID: id, At: time.Unix(vectorTime, 0), Body: body}); serr != nil {
			t.Fatal(serr)
		}
		if verr := Verify(own, body, []string{vectorSecret}, time.Unix(vectorTime, 0), DefaultTolerance); verr != nil {
			t.Fatalf("our own signature does not verify: %v", verr)
		}
	})
}
