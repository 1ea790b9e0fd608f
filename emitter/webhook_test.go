package emitter

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

func validWebhook() Webhook {
	w := DefaultWebhook()
	w.Name, w.URL = "app", "https://app.example.com/hooks"
	w.Secret = setting.SecretList{setting.NewSecret("env:GOOD")}
	return w
}

func testSecrets() *setting.Secrets {
	env := map[string]string{"GOOD": vectorSecret, "WEAK": "whsec_c2hvcnQ=", "PLAIN": "my plain passphrase"}
	return &setting.Secrets{LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
}

func TestTheDefaultsAreThoseOfTheContract(t *testing.T) {
	w := DefaultWebhook()
	var schedule []string
	for _, d := range w.Retry.Schedule {
		schedule = append(schedule, d.String())
	}
	if got := strings.Join(schedule, " "); got != "0s 5s 30s 5m 30m 2h 5h 10h" {
		t.Errorf("schedule %s", got)
	}
	if w.Method != "POST" || w.Sign != "standard" || w.Format != "standard" || w.Order != "key" || w.MaxInFlight != 8 ||
		w.Timeout.Std() != 15*time.Second || w.Retry.GiveUpAfter.Std() != 72*time.Hour || w.MaxQueue != 1_000_000 || w.OnFull != "pause" {
		t.Errorf("defaults %+v", w)
	}
}

func TestValidateFindsEachProblem(t *testing.T) {
	tests := []struct {
		name    string
		edit    func(*Webhook)
		key     string
		says    string
		hint    string
		warning bool
	}{
		{name: "no url", edit: func(w *Webhook) { w.URL = "" }, key: "url", says: "missing", hint: "https://"},
		{name: "bad scheme", edit: func(w *Webhook) { w.URL = "htps://x.example" }, key: "url", says: `"htps"`},
		{name: "no host", edit: func(w *Webhook) { w.URL = "https:///hooks" }, key: "url", says: "no host"},
		{name: "not a url", edit: func(w *Webhook) { w.URL = "https://a b/" }, key: "url", says: "cannot be parsed"},
		{name: "credentials in url", edit: func(w *Webhook) { w.URL = "https://u:p@x.example/" }, key: "url", says: "password"},
		{name: "fragment", edit: func(w *Webhook) { w.URL = "https://x.example/#a" }, key: "url", says: "fragment"},
		{name: "fragment after a query", edit: func(w *Webhook) { w.URL = "https://x.example/?a=#1&b=2" }, key: "url", says: "fragment", hint: "%23"},
		{name: "blank behind the url", edit: func(w *Webhook) { w.URL = "https://x.example/hooks " }, key: "url", says: "blank"},
		{name: "port", edit: func(w *Webhook) { w.URL = "https://x.example:99999/hooks" }, key: "url", says: "the port 99999 is none"},
		{
			name: "placeholder in a header", edit: func(w *Webhook) { w.Headers = map[string]string{"X-Key": "{secret:env:K}"} }, key: "headers.X-Key",
			says: "is not replaced", hint: `kind = "header"`,
		},
		{name: "options of a signature that is not asked for", edit: func(w *Webhook) { w.Signature.Alg = "hmac-sha512" }, key: "signature.alg", says: `does not count with sign = "standard"`, warning: true},
		{
			name: "options of another signature", edit: func(w *Webhook) { w.Sign, w.Signature.Encoding = signRFC9421, "base64" }, key: "signature.encoding",
			says: `does not count with sign = "rfc9421"`, warning: true,
		},
		{name: "batch without a size", edit: func(w *Webhook) { w.Batch.Linger = setting.Duration(time.Second) }, key: "batch", says: "without max_events", warning: true},
		{
			name: "handshake without a kind", edit: func(w *Webhook) { w.Handshake.Every = setting.Duration(time.Hour) }, key: "handshake.every",
			says: "there is none", warning: true,
		},
		{name: "plain http", edit: func(w *Webhook) { w.URL = "http://10.1.2.3/hooks" }, key: "url", says: "plain http", warning: true},
		{name: "method", edit: func(w *Webhook) { w.Method = "post" }, key: "method", says: `"post"`, hint: `"POST"`},
		{name: "sign", edit: func(w *Webhook) { w.Sign = "standart" }, key: "sign", says: `unknown sign "standart"`, hint: `"standard"`},
		{name: "format", edit: func(w *Webhook) { w.Format = "json" }, key: "format", says: `unknown format "json"`, hint: `"standard"`},
		{name: "order", edit: func(w *Webhook) { w.Order = "keys" }, key: "order", says: `unknown order "keys"`, hint: `"key"`},
		{name: "on_full", edit: func(w *Webhook) { w.OnFull = "drop" }, key: "on_full", says: "drop", hint: `"pause"`},
		{name: "no secret", edit: func(w *Webhook) { w.Secret = nil }, key: "secret", says: "missing", hint: "deltahook secret"},
		{name: "unset secret", edit: secret("env:NOWHERE"), key: "secret", says: "env:NOWHERE is not set", hint: "export NOWHERE"},
		{name: "weak secret", edit: secret("env:WEAK"), key: "secret", says: "env:WEAK: the secret is too weak: 5 bytes", hint: "deltahook secret"},
		{name: "not base64", edit: secret("env:PLAIN"), key: "secret", says: "not base64", hint: "deltahook secret"},
		{name: "literal secret", edit: secret(vectorSecret), key: "secret", says: "itself stands", warning: true},
		{name: "secret without use", edit: func(w *Webhook) { w.Sign = "none" }, key: "secret", says: "not used", warning: true},
		{name: "glob", edit: func(w *Webhook) { w.Events = []string{"a.[", "b.*"} }, key: "events", says: `"a.["`},
		{name: "header name", edit: header("X Y", "1"), key: "headers.X Y", says: "not a header name"},
		{name: "own header", edit: header("Webhook-ID", "1"), key: "headers.Webhook-ID", says: "set by deltahook"},
		{name: "header value", edit: header("X-A", "1\r\nX-B: 2"), key: "headers.X-A", says: "cannot be sent"},
		{name: "secret in a header", edit: header("Authorization", "Bearer opensesame"), key: "headers.Authorization", says: "stands in the file", warning: true},
		{name: "secret in the url", edit: func(w *Webhook) { w.URL += "?token=opensesame" }, key: "url", says: "token looks like a secret", warning: true},
		{name: "header twice", edit: func(w *Webhook) { w.Headers = map[string]string{"X-A": "1", "x-a": "2"} }, key: "headers.x-a", says: "twice"},
		{name: "max_in_flight", edit: func(w *Webhook) { w.MaxInFlight = 0 }, key: "max_in_flight", says: "nothing"},
		{name: "timeout", edit: func(w *Webhook) { w.Timeout = 0 }, key: "timeout", says: "zero"},
		{name: "max_queue", edit: func(w *Webhook) { w.MaxQueue = 0 }, key: "max_queue", says: "nothing"},
		{name: "schedule empty", edit: func(w *Webhook) { w.Retry.Schedule = nil }, key: "retry.schedule", says: "empty"},
		{name: "schedule spins", edit: func(w *Webhook) { w.Retry.Schedule = []setting.Duration{0} }, key: "retry.schedule", says: "repeats"},
		{name: "jitter", edit: func(w *Webhook) { w.Retry.Jitter = 1.5 }, key: "retry.jitter", says: "1.5"},
		{name: "jitter that is no number", edit: func(w *Webhook) { w.Retry.Jitter = math.NaN() }, key: "retry.jitter", says: "NaN"},
		{name: "tls of plain http", edit: func(w *Webhook) { w.URL, w.TLS.MinVersion = "http://127.0.0.1/", "1.3" }, key: "tls", says: "nothing is sent over https", warning: true},
		{name: "tls insecure", edit: func(w *Webhook) { w.TLS.Insecure = true }, key: "tls.insecure", says: "read and change everything", warning: true},
		{name: "tls file", edit: func(w *Webhook) { w.TLS.CA = "/nowhere/ca.pem" }, key: "tls.ca", says: "/nowhere/ca.pem"},
		{name: "proxy", edit: func(w *Webhook) { w.Proxy = outbound.NewProxy("ftp://x") }, key: "proxy", says: "ftp"},
		{name: "egress", edit: func(w *Webhook) { w.Egress = "private" }, key: "egress", says: `unknown egress "private"`, hint: `"public_only"`},
		{name: "egress_allow", edit: func(w *Webhook) { w.EgressAllow = []string{"10.2/16"} }, key: "egress_allow", says: `"10.2/16" is not a network`, hint: "10.2.0.0/16"},
		{name: "egress_allow of any", edit: func(w *Webhook) { w.Egress, w.EgressAllow = "any", []string{"10.2.0.0/16"} }, key: "egress_allow", says: "does nothing", warning: true},
		{name: "address that is not allowed", edit: func(w *Webhook) { w.URL, w.Egress = "https://10.2.3.4/", "public_only" }, key: "url", says: "10.2.3.4 is not a public address", hint: `egress_allow = ["10.2.3.4"]`},
		{name: "metadata address", edit: func(w *Webhook) { w.URL = "https://169.254.169.254/" }, key: "url", says: "metadata", hint: "egress_allow"},
		{name: "egress behind a proxy", edit: func(w *Webhook) {
			w.Egress, w.Proxy = "public_only", outbound.NewProxy("http://proxy:3128")
		}, key: "egress", says: "for the address of the proxy only", warning: true},
		{name: "auth kind", edit: proof(Auth{Kind: "digest"}), key: "auth.kind", says: `kind = "digest" does not exist`, hint: `"bearer"`},
		{name: "auth without token", edit: proof(Auth{Kind: "bearer"}), key: "auth.token", says: "needs token"},
		{name: "auth key of another kind", edit: proof(Auth{Kind: "bearer", Token: setting.NewSecret("env:GOOD"), Username: "ann"}), key: "auth.username", says: "username"},
		{name: "auth by jwt", edit: proof(Auth{Kind: "oauth2", AuthStyle: "jwt"}), key: "auth.auth_style", says: "is for sources", hint: `"header"`},
		{name: "auth and header", edit: func(w *Webhook) {
			w.Auth = Auth{Kind: "bearer", Token: setting.NewSecret("env:GOOD")}
			w.Headers = map[string]string{"authorization": "x"}
		}, key: "headers.authorization", says: "auth and headers both set authorization"},
		{name: "handshake kind", edit: shake("slack", "a.example", "24h"), key: "handshake.kind", says: `unknown kind "slack"`, hint: "cloudevents"},
		{name: "handshake origin", edit: shake("cloudevents", "", "24h"), key: "handshake.origin", says: "origin is missing", hint: "deltahook.example.com"},
		{name: "handshake origin url", edit: shake("cloudevents", "https://a.example", "24h"), key: "handshake.origin", says: "not a DNS name"},
		{name: "handshake origin alone", edit: shake("none", "a.example", "24h"), key: "handshake.origin", says: "there is none"},
		{name: "handshake every", edit: shake("cloudevents", "a.example", "1s"), key: "handshake.every", says: "more often than once a minute"},
		{name: "give_up_after", edit: func(w *Webhook) { w.Retry.GiveUpAfter = 0 }, key: "retry.give_up_after", says: "zero"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := validWebhook()
			tt.edit(&w)
			problems := w.Validate(testSecrets())
			if len(problems) != 1 {
				t.Fatalf("problems %+v", problems)
			}
			p := problems[0]
			if strings.Join(p.Key, ".") != tt.key || !strings.Contains(p.Message, tt.says) || !strings.Contains(p.Hint, tt.hint) || p.Warning != tt.warning {
				t.Errorf("got %+v", p)
			}
			if strings.Contains(p.Message+p.Hint, vectorSecret) {
				t.Errorf("the problem shows the secret: %+v", p)
			}
		})
	}
}

func secret(ref string) func(*Webhook) {
	return func(w *Webhook) { w.Secret = setting.SecretList{setting.NewSecret(ref)} }
}

func proof(a Auth) func(*Webhook) { return func(w *Webhook) { w.Auth = a } }

func shake(kind, origin, every string) func(*Webhook) {
	return func(w *Webhook) {
		w.Handshake = Handshake{Kind: kind, Origin: origin}
		if err := w.Handshake.Every.UnmarshalText([]byte(every)); err != nil {
			panic(err)
		}
	}
}

func header(name, value string) func(*Webhook) {
	return func(w *Webhook) { w.Headers = map[string]string{name: value} }
}

func TestValidateReportsAllProblemsAtOnceAndNoneOfAValidWebhook(t *testing.T) {
	w := validWebhook()
	if p := w.Validate(testSecrets()); len(p) != 0 {
		t.Fatalf("a valid webhook has problems: %+v", p)
	}
	for _, url := range []string{"http://127.0.0.1:8080/", "http://localhost/", "http://[::1]:1/"} {
		if w.URL = url; len(w.Validate(nil)) != 0 {
			t.Errorf("%s: %+v", url, w.Validate(nil))
		}
	}
	w = Webhook{}
	var keys []string
	for _, p := range w.Validate(testSecrets()) {
		keys = append(keys, strings.Join(p.Key, "."))
	}
	for _, key := range []string{"url", "method", "sign", "format", "order", "on_full", "max_in_flight", "timeout", "max_queue", "retry.schedule", "retry.give_up_after"} {
		if !slices.Contains(keys, key) {
			t.Errorf("nothing about %s in %v", key, keys)
		}
	}
}
