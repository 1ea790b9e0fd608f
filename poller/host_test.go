package poller

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// The second source is not asked at all: what the host said to the first one counts for it.
func TestARefusalForOneSourceDefersTheOtherSourcesOfTheHost(t *testing.T) {
	asked := map[string]int{}
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		if asked[q.URL.Path]++; q.URL.Path == "/contacts" {
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}, nil)
	o := r.opts.withDefaults()
	net := newNetwork(o)
	poll := func(name string) Result {
		t.Helper()
		source := r.source
		source.Name, source.URL = name, r.api.URL+"/"+name
		p, err := newPoller(&source, &o, net)
		if err != nil {
			t.Fatal(err)
		}
		return p.Poll(t.Context(), Occasion{})
	}
	first, second := poll("contacts"), poll("orders")
	if first.Verdict != Deferred || second.Verdict != Deferred || asked["/contacts"] != 1 || asked["/orders"] != 0 {
		t.Fatalf("%s, %s, asked %v", first.Verdict, second.Verdict, asked)
	}
	if second.Until.Before(r.now.Add(600e9)) || !strings.Contains(second.Message, "is left alone for 10m0s: it answered 429") || second.Requests != 0 {
		t.Errorf("until %s, %q, %d requests", second.Until, second.Message, second.Requests)
	}
}

func TestAStatusOfTheHostMeansALimitWhenItsAnswerSaysSo(t *testing.T) {
	body := `{"error":{"code":"quota"}}`
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("X-Again", "600")
		reply(http.StatusForbidden, "application/json", body)(w, q)
	}, nil)
	when, err := differ.ParseCondition(`error.code == "quota"`)
	if err != nil {
		t.Fatal(err)
	}
	r.opts.Hosts = []Host{{Name: "127.0.0.1", LimitStatus: []int{403}, LimitWhen: when, ResetHeader: "X-Again"}}
	r.restart()
	if got := r.want(Deferred); got.Until.Before(r.now.Add(600e9)) {
		t.Errorf("until %s", got.Until)
	}
	body = `{"error":{"code":"forbidden"}}`
	r.restart()
	if got := r.want(Failed); !strings.Contains(got.Message, "403") {
		t.Errorf("%q", got.Message)
	}
}

func TestTablesOfHostsAreChecked(t *testing.T) {
	when, err := differ.ParseCondition("x")
	if err != nil {
		t.Fatal(err)
	}
	for key, h := range map[string]Host{
		"":             {Name: "https://erp.example.com"},
		"burst":        {Name: "erp.example.com:8443", Burst: 5},
		"concurrency":  {Name: "::1", Concurrency: -1},
		"limit_status": {Name: "[::1]:80", LimitStatus: []int{200}},
		"limit_when":   {Name: "unix:/run/erp.sock", LimitWhen: when},
		"reset_header": {Name: "localhost", ResetHeader: "a b"},
	} {
		p := h.Validate(nil)
		if len(p) != 1 || strings.Join(p[0].Key[:min(1, len(p[0].Key))], "") != key {
			t.Errorf("%s: %v", key, p)
		}
	}
	for _, name := range []string{"ERP.example.com", "erp.example.com:0", "erp.example.com:http", "a/b", "", "-a.example"} {
		if h := (Host{Name: name}); len(h.Validate(nil)) != 1 {
			t.Errorf("%q is taken for a host", name)
		}
	}
}

func TestAHostIsThatOfTheURLOrOfTheToken(t *testing.T) {
	s := DefaultSource()
	s.URL, s.Auth.TokenURL = "https://erp.example.com/api/{page}?x={secret:env:X}", "https://id.example.com:8443/token"
	for name, want := range map[string]bool{"erp.example.com": true, "erp.example.com:443": true, "id.example.com:8443": true, "crm.example.com": false, "erp.example.com:80": false} {
		if s.Asks(&Host{Name: name}) != want {
			t.Errorf("%s: not %t", name, want)
		}
	}
}

// The page is a request under way until it is read; its details and a new token must not wait for its end, which waits for them.
func TestAHostThatIsAskedOneThingAtATimeCanBeAskedForDetailsAndTokens(t *testing.T) {
	g, token := newRegistry(), 1
	for i := range 3000 { // more than is read ahead
		g.add(fmt.Sprintf("%0100d", i), 1)
	}
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		switch {
		case q.URL.Path == "/token":
			fmt.Fprintf(w, `{"access_token":"t%d"}`, token)
		case q.Header.Get("Authorization") != fmt.Sprint("Bearer t", token):
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"expired"}`)
		default:
			g.ServeHTTP(w, q)
		}
	}, func(s *Source) {
		s.Detail.URL = "/contacts/{key}"
		s.Retry.MaxWait = setting.Duration(5 * time.Second)
		s.Auth.Kind, s.Auth.ClientID, s.Auth.ClientSecret = "oauth2", "me", secretRef("env:TOKEN")
		s.Auth.TokenURL = strings.TrimSuffix(s.URL, "/contacts") + "/token"
	})
	r.opts.Hosts = []Host{{Name: "127.0.0.1", Concurrency: 1}}
	r.restart()
	if got := r.want(Complete); got.Details != 3000 {
		t.Errorf("%d details: %s", got.Details, got.Message)
	}
	token = 2
	r.now = r.now.Add(10 * time.Minute)
	r.want(Unchanged)
}
