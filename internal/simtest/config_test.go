package simtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// The secrets of a world. None of them may be seen anywhere but where it belongs.
const (
	sourceKey   = "planted-source-key"
	sourceQuery = "planted-query-key"
	hookToken   = "planted-hook-token"
)

func secretOf(n int) string {
	return []string{
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_cGxhbnRlZC1zZWNyZXQtb2YtYS13ZWJob29r",
		"whsec_cGxhbnRlZC1zZWNyZXQtb2YtYW5vdGhlcjE=", "whsec_cGxhbnRlZC1zZWNyZXQtb2YtdGhlLWZvdXJ0aA==",
	}[n%4]
}

// secrets resolves what the configuration refers to.
func secrets() *setting.Secrets {
	return &setting.Secrets{LookupEnv: func(name string) (string, bool) {
		value, ok := map[string]string{
			"SOURCE_KEY": sourceKey, "SOURCE_QUERY": sourceQuery, "HOOK_TOKEN": hookToken,
			"HOOK_1": secretOf(1), "HOOK_2": secretOf(2), "HOOK_3": secretOf(3), "HOOK_4": secretOf(4),
		}[name]
		return value, ok
	}}
}

func secretTexts() []string {
	list := []string{sourceKey, sourceQuery, hookToken}
	for n := range 4 {
		list = append(list, strings.TrimPrefix(secretOf(n), "whsec_"))
	}
	return list
}

// settings are what a configuration says.
type settings struct {
	sources []sourceSettings
	hooks   []hookSettings
}

type sourceSettings struct {
	*upstream

	every    time.Duration
	compared comparison
	confirm  int
	initial  string
	to       []string // all webhooks when it is empty
	key      string
	where    string // the status that a record must not have; empty: any
	silent   bool   // one that comes to have it is forgotten without an event
	guarded  bool
	whole    time.Duration // between two whole listings, of a source that asks for what has changed
}

type hookSettings struct {
	*receiver

	order    string // key, source or none
	inFlight int
	timeout  time.Duration
	maxQueue int
	batch    int           // events in a request; 0: each is one
	coalesce bool          // what waits of a record is merged
	wait     time.Duration // before the first attempt
}

func (s *settings) source(name string) *sourceSettings {
	for i := range s.sources {
		if s.sources[i].name == name {
			return &s.sources[i]
		}
	}
	return nil
}

func (s *settings) comparison(source string) comparison { return s.source(source).compared }

// follows says whether a record is one of those that the source follows.
func (s *sourceSettings) follows(body string) bool {
	return s.where == "" || !strings.Contains(strings.ReplaceAll(body, " ", ""), fmt.Sprintf(`"status":%q`, s.where))
}

// isFor says whether an event goes to the webhooks that are configured.
func (s *sourceSettings) isFor(to map[string]string, hooks []hookSettings) bool {
	want := s.to
	if len(want) == 0 {
		for i := range hooks {
			want = append(want, hooks[i].name)
		}
	}
	return slices.Equal(slices.Sorted(maps.Keys(to)), slices.Sorted(slices.Values(want)))
}

// clone is a copy that can be edited.
func (s *settings) clone() *settings {
	return &settings{sources: append([]sourceSettings(nil), s.sources...), hooks: append([]hookSettings(nil), s.hooks...)}
}

// text writes the configuration.
func (s *settings) text(store string) string {
	var b strings.Builder
	for i := range s.sources {
		s.sources[i].write(&b)
	}
	for i := range s.hooks {
		s.hooks[i].write(&b, i+1)
	}
	fmt.Fprintf(&b, "[store]\nurl = \"sqlite:%s\"\n[admin]\nlisten = %q\ntoken = %q\n[log]\nlevel = \"debug\"\n", store, adminAddress, adminToken)
	return b.String()
}

func (s *sourceSettings) write(b *strings.Builder) {
	fmt.Fprintf(b, `[source.%s]
url = "http://%s/items?api_key={secret:env:SOURCE_QUERY}"
headers = { X-Api-Key = "{secret:env:SOURCE_KEY}" }
every = %q
records = "items"
key = ["%s"]
initial = %q
timeout = "5s"
deadline = "2m"
proxy = "none"
retry = { attempts = 2, base = "1s", max = "5s", max_wait = "20s" }
response = { max_body = "1MiB" }
`, s.name, strings.TrimSuffix(s.address, ":80"), s.every.String(), strings.ReplaceAll(s.key, ",", `", "`), s.initial)
	verify := ""
	if s.kind.verify {
		verify = `, verify = "/items/{key}"`
	}
	if s.since != nil {
		fmt.Fprintf(b, "cursor = { field = %q, param = \"since\", overlap = %q, lag = %q, full_scan = %q }\n", stampField, s.since.overlap.String(), s.since.lag.String(), s.whole.String())
	}
	fmt.Fprintf(b, "deletes = { detect = \"scan\", confirm = %d%s }\n", s.confirm, verify)
	if s.kind.pages != "" {
		fmt.Fprintf(b, "pages = %s\n", s.kind.pages)
	}
	if !s.guarded {
		b.WriteString("guard = { min_deletes = 1000, empty = \"allow\" }\n")
	}
	if s.compared.fields != "" {
		fmt.Fprintf(b, "fields = [\"%s\"]\n", strings.ReplaceAll(s.compared.fields, ",", `", "`))
	}
	if s.compared.ignore != "" {
		fmt.Fprintf(b, "ignore = [\"%s\"]\n", strings.ReplaceAll(s.compared.ignore, ",", `", "`))
	}
	if s.where != "" {
		fmt.Fprintf(b, "where = ['status != %q']\n", s.where)
	}
	if s.silent {
		b.WriteString("where_exit = \"silent\"\n")
	}
	if len(s.to) > 0 {
		fmt.Fprintf(b, "to = [\"%s\"]\n", strings.Join(s.to, `", "`))
	}
}

func (h *hookSettings) write(b *strings.Builder, n int) {
	fmt.Fprintf(b, `[webhook.%s]
url = "http://%s/hook"
secret = "env:HOOK_%d"
order = %q
max_in_flight = %d
timeout = %q
max_queue = %d
proxy = "none"
auth = { kind = "bearer", token = "env:HOOK_TOKEN" }
retry = { schedule = [%q, "5s", "30s", "2m"] }
coalesce = %t
`, h.name, strings.TrimSuffix(h.address, ":80"), n, h.order, h.inFlight, h.timeout.String(), h.maxQueue, h.wait.String(), h.coalesce)
	if h.batch > 0 {
		fmt.Fprintf(b, "batch = { max_events = %d, linger = \"2s\" }\n", h.batch)
	}
}
