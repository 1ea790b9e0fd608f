package poller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

func validSource() Source {
	s := DefaultSource()
	s.Name, s.URL, s.Every = "contacts", "https://crm.example.com/api/contacts", setting.Duration(5*time.Minute)
	s.Key = differ.Paths(paths("id"))
	return s
}

func secretsForTests() *setting.Secrets {
	return &setting.Secrets{LookupEnv: func(name string) (string, bool) { v, ok := testSecrets()[name]; return v, ok }}
}

func TestTheSmallestSourceIsValid(t *testing.T) {
	s := validSource()
	if problems := s.Validate(secretsForTests()); len(problems) > 0 {
		t.Errorf("problems %v", problems)
	}
}

func TestEachMistakeIsReportedAtItsKey(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Source)
		want string // "key: message", with the beginning of the message
	}{
		{"no url", func(s *Source) { s.URL = "" }, ": url is missing"},
		{"scheme", func(s *Source) { s.URL = "ftp://x/y" }, `url: "ftp://x/y" cannot be polled: the scheme is "ftp"`},
		{"no host", func(s *Source) { s.URL = "https:///y" }, `url: "https:///y" cannot be polled: there is no host`},
		{"relative", func(s *Source) { s.URL = "/api" }, `url: "/api" cannot be polled: the scheme is ""`},
		{"password in the url", func(s *Source) { s.URL = "https://u:planted@x/y" }, `url: "https://…@x/y" cannot be polled: there is a user name or password in it`},
		{"fragment", func(s *Source) { s.URL = "https://x/y#z" }, "url: the url has a fragment"},
		{"fragment that hides a part of the query", func(s *Source) { s.URL = "https://x/y?tag=#5&full=1" }, "url: the url has a fragment"},
		{"fragment of a socket", func(s *Source) { s.URL = "unix:/run/x.sock:/y#z" }, "url: the url has a fragment"},
		{"blank behind the url", func(s *Source) { s.URL += " " }, "url: the url begins or ends with a blank"},
		{"port", func(s *Source) { s.URL = "https://x:99999/y" }, `url: "https://x:99999/y" cannot be polled: the port 99999 is none`},
		{"port zero", func(s *Source) { s.URL = "https://x:0/y" }, `url: "https://x:0/y" cannot be polled: the port 0 is none`},
		{"placeholder in the host", func(s *Source) { s.URL = "https://{page}.example.com/" }, "url: there is a placeholder in the host"},
		{"unknown placeholder in the path", func(s *Source) { s.URL = "https://x/{id}/y" }, "url: unknown placeholder {id}"},
		{"unknown placeholder in the query", func(s *Source) { s.URL = "https://x/?a={id}" }, "url: unknown placeholder {id}"},
		{"socket without a path", func(s *Source) { s.URL = "unix:/run/x.sock" }, `url: "unix:/run/x.sock" cannot be polled: a Unix socket is written as`},
		{"unset secret in the url", func(s *Source) { s.URL = "https://x/?a={secret:env:NOPE}" }, "url: secret env:NOPE is not set"},
		{"unset secret in a header", func(s *Source) { s.Headers = map[string]string{"X-Key": "{secret:env:NOPE}"} }, "headers.X-Key: secret env:NOPE is not set"},
		{"unset secret in the query", func(s *Source) { s.Query = map[string]string{"k": "{secret:env:NOPE}"} }, "query.k: secret env:NOPE is not set"},
		{"unset secret in the body", func(s *Source) { s.Method, s.Body = "POST", `{"k":{secret:env:NOPE}}` }, "body: secret env:NOPE is not set"},
		{"unknown placeholder in a header", func(s *Source) { s.Headers = map[string]string{"X": "{x}"} }, "headers.X: unknown placeholder {x}"},
		{"unknown placeholder in the body", func(s *Source) { s.Method, s.Body = "POST", `{"k":{x}}` }, "body: unknown placeholder {x}"},
		{"{page} without pages", func(s *Source) { s.URL += "?p={page}" }, "pages.kind: {page} is used"},
		{"method", func(s *Source) { s.Method = "DELETE" }, `method: "DELETE" is not known here`},
		{"header name", func(s *Source) { s.Headers = map[string]string{"a b": "x"} }, `headers.a b: "a b" is not a header name`},
		{"encoding header", func(s *Source) { s.Headers = map[string]string{"accept-encoding": "br"} }, "headers.accept-encoding: accept-encoding cannot be set"},
		{"condition header", func(s *Source) { s.Headers = map[string]string{"If-None-Match": "x"} }, "headers.If-None-Match: If-None-Match cannot be set"},
		{"allowed host", func(s *Source) { s.AllowedHosts = []string{"a.example.com", "https://b"} }, `allowed_hosts.1: "https://b" is not a host`},
		{"no schedule", func(s *Source) { s.Every = 0 }, ": neither every nor cron"},
		{"two schedules", func(s *Source) { s.Cron = "@daily" }, "cron: every and cron are both set"},
		{"too often", func(s *Source) { s.Every = setting.Duration(500 * time.Millisecond) }, `every: every = "500ms" is too often`},
		{"cron", func(s *Source) { s.Every, s.Cron = 0, "* * * *" }, "cron: expected exactly 5 fields"},
		{"cron that never fires", func(s *Source) { s.Every, s.Cron = 0, "0 0 31 2 *" }, `cron: "0 0 31 2 *" never fires`},
		{"cron with a zone", func(s *Source) { s.Every, s.Cron = 0, "TZ=UTC * * * * *" }, "cron: the cron spec names a time zone"},
		{"zone", func(s *Source) { s.Timezone = "Mars/Olympus" }, `timezone: "Mars/Olympus" is not a time zone`},
		{"local zone", func(s *Source) { s.Timezone = "Local" }, `timezone: "Local" is not a time zone`},
		{"jitter", func(s *Source) { s.Jitter = setting.Duration(time.Hour) }, "jitter: jitter ="},
		{"on_start", func(s *Source) { s.OnStart = "later" }, `on_start: "later" is not known here`},
		{"missed", func(s *Source) { s.Missed = "all" }, `missed: "all" is not known here`},
		{"timeout", func(s *Source) { s.Timeout = 0 }, "timeout: timeout must be more than zero"},
		{"deadline", func(s *Source) { s.Deadline = 0 }, "deadline: deadline must be more than zero"},
		{"no key", func(s *Source) { s.Key = nil }, ": key is missing"},
		{"initial", func(s *Source) { s.Initial = "all" }, `initial: "all" is not known here`},
		{"pages.kind", func(s *Source) { s.Pages.Kind = "pager" }, `pages.kind: "pager" is not known here`},
		{"a cursor without its path", func(s *Source) { s.Pages.Kind, s.Pages.Param = "cursor", "after" }, `pages.kind: pages.kind = "cursor" needs next`},
		{"a last key without its parameter", func(s *Source) { s.Pages.Kind = "last_key" }, `pages.kind: pages.kind = "last_key" needs param`},
		{"a token in the body of a GET", func(s *Source) {
			s.Pages.Kind, s.Pages.Param, s.Pages.Next, s.Pages.In = "cursor", "after", differ.MustPath("next"), "body"
		}, `pages.in: pages.in = "body" needs a request with a body`},
		{"an overlap of pages by number", func(s *Source) { s.Pages.Kind, s.Pages.Overlap = "page", 5 }, `pages.overlap: pages.overlap counts only with pages.kind = "offset"`},
		{"an overlap of the whole page", func(s *Source) {
			s.Pages.Kind, s.Pages.Overlap, s.Pages.Size, s.Pages.Sizes = "offset", 50, 50, "limit"
		}, "pages.overlap: pages.overlap = 50 leaves nothing of a page of 50 records"},
		{"pages without a kind", func(s *Source) { s.Pages.Param = "p" }, "pages.param: pages.param counts only with"},
		{"delay without a kind", func(s *Source) { s.Pages.Delay = setting.Duration(time.Second) }, "pages.delay: pages.delay counts only with"},
		{"size without a parameter", func(s *Source) { s.Pages.Kind, s.Pages.Size = "page", 100 }, "pages.size: size and size_param belong together"},
		{"max", func(s *Source) { s.Pages.Kind, s.Pages.Max = "page", 0 }, "pages.max: 0 is too small"},
		{"single with pages", func(s *Source) { s.Single, s.Pages.Kind = true, "page" }, "pages.kind: one single object has no pages"},
		{"where_exit", func(s *Source) { s.WhereExit = "gone" }, `where_exit: "gone" is not known here`},
		{"flag without a condition", func(s *Source) { s.Deletes.Detect = "flag" }, `deletes.detect: deletes.detect = "flag" needs flag`},
		{"a condition without flag", func(s *Source) { s.Deletes.Flag = condition("gone") }, `deletes.flag: deletes.flag counts only with`},
		{"detect", func(s *Source) { s.Deletes.Detect = "guess" }, `deletes.detect: "guess" is not known here`},
		{"confirm", func(s *Source) { s.Deletes.Confirm = 0 }, "deletes.confirm: 0 is too small"},
		{"much to confirm", func(s *Source) { s.Deletes.Confirm = 200 }, "deletes.confirm: 200 is too large"},
		{"single with deletes", func(s *Source) { s.Single, s.Deletes.Detect = true, "scan" }, "deletes.detect: one single object cannot be missing"},
		{"guard.empty", func(s *Source) { s.Guard.Empty = "never" }, `guard.empty: "never" is not known here`},
		{"guard.max_events", func(s *Source) { s.Guard.MaxEvents = -1 }, "guard.max_events: -1 is too small"},
		{"empty of a single record", func(s *Source) { s.Single, s.Response.Empty = true, condition("total == 0") }, "response.empty: empty is for lists inside of an answer"},
		{"empty of a table", func(s *Source) { s.Response.Format, s.Response.Empty = "csv", condition("total == 0") }, "response.empty: empty is for lists inside of an answer"},
		{"format", func(s *Source) { s.Response.Format = "yaml" }, `response.format: "yaml" is not known here`},
		{"max_body", func(s *Source) { s.Response.MaxBody = 0 }, "response.max_body: max_body must be more than zero"},
		{"auth.kind", func(s *Source) { s.Auth.Kind = "oauth3" }, `auth.kind: kind = "oauth3" does not exist`},
		{"auth without a token", func(s *Source) { s.Auth.Kind = "bearer" }, `auth.token: kind = "bearer" needs token`},
		{"auth without a password", func(s *Source) { s.Auth.Kind, s.Auth.Username = "basic", "u" }, `auth.password: kind = "basic" needs password`},
		{"auth with too much", func(s *Source) {
			s.Auth.Kind, s.Auth.Token, s.Auth.Username = "bearer", secretRef("env:TOKEN"), "u"
		}, `auth.username: username does not count with kind = "bearer"`},
		{"token without a kind", func(s *Source) { s.Auth.Token = secretRef("env:TOKEN") }, `auth.token: token is set, but kind is "none"`},
		{"auth with an unset secret", func(s *Source) { s.Auth.Kind, s.Auth.Token = "bearer", secretRef("env:NOPE") }, "auth.token: secret env:NOPE is not set"},
		{"auth header name", func(s *Source) {
			s.Auth.Kind, s.Auth.Token, s.Auth.Header = "header", secretRef("env:TOKEN"), "a:b"
		}, `auth.header: "a:b" is not a header name`},
		{"auth twice", func(s *Source) {
			s.Auth.Kind, s.Auth.Token = "bearer", secretRef("env:TOKEN")
			s.Headers = map[string]string{"authorization": "{secret:env:TOKEN}"}
		}, "headers.authorization: auth and headers both set authorization"},
		{"retry.attempts", func(s *Source) { s.Retry.Attempts = 0 }, "retry.attempts: 0 is too small"},
		{"retry.max", func(s *Source) { s.Retry.Max = 1 }, "retry.max: retry.max"},
		{"retry.on", func(s *Source) { s.Retry.On = []int{503, 200} }, "retry.on.1: 200 cannot be retried"},
		{"type", func(s *Source) { s.Type = "a\nb" }, `type: type = "a\nb" has blanks or control characters`},
		{"type with a blank", func(s *Source) { s.Type = "my contacts" }, `type: type = "my contacts" has blanks`},
		{"type with a NUL", func(s *Source) { s.Type = "a\x00" }, `type: type = "a\x00" has blanks or control`},
		{"user_agent", func(s *Source) { s.UserAgent = "acme\r\nX: y" }, "user_agent: user_agent cannot be sent"},
		{"header value", func(s *Source) { s.Headers = map[string]string{"X-A": "1\nX-B: 2"} }, "headers.X-A: the value of the header X-A cannot be sent"},
		{"conditional", func(s *Source) { s.Conditional = "always" }, `conditional: "always" is not known here`},
		{"redirects", func(s *Source) { s.Redirects = "all" }, `redirects: "all" is not known here`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := validSource()
			c.edit(&s)
			var got []string
			for _, p := range s.Validate(secretsForTests()) {
				if !p.Warning {
					got = append(got, strings.Join(p.Key, ".")+": "+p.Message)
				}
				if strings.Contains(p.Message+p.Hint, "planted") {
					t.Errorf("a secret is printed: %s", p.Message)
				}
			}
			if len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
				t.Errorf("problems %q, want %q alone", got, c.want)
			}
		})
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	s := validSource()
	s.URL, s.Every, s.Key, s.Pages.Kind, s.Auth.Kind, s.Retry.Attempts = "x", 0, nil, "p", "a", 0
	if problems := s.Validate(secretsForTests()); len(problems) != 6 {
		t.Errorf("%d problems: %v", len(problems), problems)
	}
}

func TestAnEnumOffersWhatIsAllowed(t *testing.T) {
	s := validSource()
	s.Missed = "never"
	if p := s.Validate(secretsForTests()); len(p) != 1 || p[0].Hint != "allowed: once, skip" {
		t.Errorf("problems %+v", p)
	}
}

func TestSecretsInTheFileAreWarnedOfAndNeverPrinted(t *testing.T) {
	s := validSource()
	s.Headers = map[string]string{"Authorization": "Bearer literal-one", "X-Api-Key": "literal-two", "Accept": "text/plain"}
	s.Query = map[string]string{"access_token": "literal-three", "page": "1"}
	secrets := secretsForTests()
	var keys []string
	for _, p := range s.Validate(secrets) {
		if !p.Warning {
			t.Errorf("problem %v", p)
		}
		keys = append(keys, strings.Join(p.Key, "."))
	}
	if want := []string{"headers.Authorization", "headers.X-Api-Key", "query.access_token"}; !slices.Equal(keys, want) {
		t.Errorf("warned of %q, want %q", keys, want)
	}
	if got := secrets.Redact("literal-two literal-three"); strings.Contains(got, "literal") {
		t.Errorf("redacted to %s", got)
	}
	s = validSource()
	s.Auth.Kind, s.Auth.Token = "bearer", secretRef("literal")
	if p := s.Validate(secrets); len(p) != 1 || !p[0].Warning || strings.Contains(fmt.Sprint(p), "literal ") {
		t.Errorf("problems %v", p)
	}
}

func TestAUnixSocketIsAnAddress(t *testing.T) {
	s := validSource()
	s.URL = "unix:/run/x.sock:/api/{page}?a={now}"
	s.Pages.Kind = "page"
	if p := s.Validate(secretsForTests()); len(p) > 0 {
		t.Errorf("problems %v", p)
	}
}
