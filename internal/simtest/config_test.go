package simtest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/hooktest"
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
	keep    time.Duration // of the state of sources that are away
}

type sourceSettings struct {
	*upstream

	every    time.Duration
	compared comparison
	confirm  int
	initial  string
	to       []string // all webhooks when it is empty
	key      string
	away     bool   // it is not configured at present
	edition  int    // of its settings: its requests tell it
	where    string // what the status of a record must not be, comma-separated; empty: any will do
	silent   bool   // one that comes to have it is forgotten without an event
	guarded  bool
	details  detailSettings
	parts    []string      // the lists that it reads, of an upstream that has several
	whole    time.Duration // between two whole listings, of a source that asks for what has changed
}

type hookSettings struct {
	*receiver

	away     bool   // it is not configured at present
	wants    wish   // of all events that lead to it
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
func (s *sourceSettings) follows(body string) bool { return admits(s.where, body) }

// admits says whether the status of a record is none of those that it must not be.
func admits(where, body string) bool {
	return where == "" || !slices.Contains(strings.Split(where, ","), statusOf(body))
}

func statusOf(body string) string { return textOf(body, "status") }

// textOf gives the value of a member that is text without escapes.
func textOf(body, name string) string {
	_, rest, _ := strings.Cut(body, `"`+name+`":`)
	text, _, _ := strings.Cut(strings.TrimLeft(rest, ` "`), `"`)
	return text
}

// leads gives the webhooks that a source leads to: those that it names, as far as they are configured.
func (s *settings) leads(one *sourceSettings) (hooks []*hookSettings) {
	for i := range s.hooks {
		if h := &s.hooks[i]; !h.away && (len(one.to) == 0 || slices.Contains(one.to, h.name)) {
			hooks = append(hooks, h)
		}
	}
	if len(hooks) == 0 {
		return []*hookSettings{&s.hooks[0]} // which never leaves
	}
	return hooks
}

// receivers names those webhooks that want an event.
func (s *settings) receivers(one *sourceSettings, e *hooktest.Event) []string {
	var names []string
	for _, h := range s.leads(one) {
		if h.wants.has(e) {
			names = append(names, h.name)
		}
	}
	return names
}

// whole is a copy in which nothing is away.
func (s *settings) whole() *settings {
	all := s.clone()
	for i := range all.sources {
		all.sources[i].away = false
		all.sources[i].edition++
	}
	for i := range all.hooks {
		all.hooks[i].away = false
	}
	return all
}

// missing says whether anything is away.
func (s *settings) missing() bool {
	return slices.ContainsFunc(s.sources, func(one sourceSettings) bool { return one.away }) || slices.ContainsFunc(s.hooks, func(h hookSettings) bool { return h.away })
}

// clone is a copy that can be edited.
func (s *settings) clone() *settings {
	return &settings{sources: slices.Clone(s.sources), hooks: slices.Clone(s.hooks), keep: s.keep}
}

// text writes the configuration.
func (s *settings) text(store string) string {
	var b strings.Builder
	for i := range s.sources {
		one := s.sources[i]
		if one.away {
			continue
		}
		if len(one.to) > 0 {
			one.to = nil
			for _, h := range s.leads(&s.sources[i]) {
				one.to = append(one.to, h.name)
			}
		}
		one.write(&b)
	}
	for i := range s.hooks {
		if !s.hooks[i].away {
			s.hooks[i].write(&b, i+1)
		}
	}
	fmt.Fprintf(&b, "[store]\nurl = \"sqlite:%s\"\nkeep_removed = %q\n[admin]\nlisten = %q\ntoken = %q\n[log]\nlevel = \"debug\"\n", store, s.keep.String(), adminAddress, adminToken)
	return b.String()
}

func (s *sourceSettings) write(b *strings.Builder) {
	path := "items"
	if len(s.parts) > 0 {
		path = "parts/{partition}"
	}
	fmt.Fprintf(b, `[source.%s]
url = "http://%s/%s?api_key={secret:env:SOURCE_QUERY}"
headers = { X-Api-Key = "{secret:env:SOURCE_KEY}", X-Edition = "%d" }
every = %q
records = "items"
key = ["%s"]
initial = %q
timeout = "5s"
deadline = "2m"
proxy = "none"
retry = { attempts = 2, base = "1s", max = "5s", max_wait = "20s" }
response = { max_body = "1MiB" }
`, s.name, strings.TrimSuffix(s.address, ":80"), path, s.edition, s.every.String(), strings.ReplaceAll(s.key, ",", `", "`), s.initial)
	verify := ""
	if s.kind.verify {
		verify = `, verify = "/items/{key}"`
	}
	if s.since != nil {
		s.since.write(b, s.whole)
	}
	fmt.Fprintf(b, "deletes = { detect = \"scan\", confirm = %d%s }\n", s.confirm, verify)
	if s.kind.pages != "" {
		fmt.Fprintf(b, "pages = %s\n", s.kind.pages)
	}
	if len(s.parts) > 0 {
		fmt.Fprintf(b, "partitions = { values = [\"%s\"] }\n", strings.Join(s.parts, `", "`))
	}
	if s.kind.detail != "" {
		s.details.write(b, s.kind.detail)
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
		fmt.Fprintf(b, "where = ['status != \"%s\"']\n", strings.ReplaceAll(s.where, ",", `"', 'status != "`))
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
	h.wants.write(b)
}
