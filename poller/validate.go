package poller

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/auth"
	"github.com/deltahook/deltahook/internal/setting"
)

// Spec says where the records of the source are and what of them counts.
func (s *Source) Spec() differ.Spec {
	return differ.Spec{Records: s.Records, Key: s.Key, Single: s.Single, Fields: s.Fields, Ignore: s.Ignore, Unordered: s.Unordered}
}

// DefaultSource gives a source with the default of each key.
func DefaultSource() Source {
	return Source{
		Method: http.MethodGet, Timezone: "UTC", Spread: true, OnStart: "now", Missed: "once",
		Timeout: setting.Duration(30 * time.Second), Deadline: setting.Duration(10 * time.Minute),
		Records: differ.MustPath("@this"), WhereExit: "deleted", Initial: "baseline",
		Pages:    Pages{Max: 10_000},
		Cursor:   Cursor{Format: "rfc3339", Timezone: "UTC", Overlap: setting.Duration(time.Minute)},
		Deletes:  Deletes{Detect: "off", Confirm: 2},
		Detail:   Detail{Merge: "members", Under: "detail", On404: "skip", Concurrency: 4, Max: 10_000},
		Guard:    Guard{MaxDeletes: 0.2, MinDeletes: 10, Empty: "hold"},
		Response: Response{Format: "json", MaxBody: 256 << 20, MaxScan: 4 << 30},
		Auth:     auth.Default(),
		Retry: Retry{
			Attempts: 3, Base: setting.Duration(time.Second), Max: setting.Duration(15 * time.Second),
			MaxWait: setting.Duration(time.Minute),
		},
		Conditional: "auto", Redirects: "same_origin",
	}
}

// Validate reports all that is wrong with the source. The references to secrets are resolved, so that unset ones are found.
func (s *Source) Validate(secrets *setting.Secrets) setting.Problems {
	c := &check{s: s, secrets: secrets}
	c.request()
	c.eventType()
	c.schedule()
	c.records()
	c.pages()
	c.cursor()
	c.deletes()
	c.detail()
	c.partitions()
	c.answer()
	c.auth()
	c.transport()
	c.retry()
	c.choice(s.Conditional, []string{"auto", "validators", "off"}, "conditional")
	c.expectations()
	c.choice(s.Redirects, []string{"same_origin", "none"}, "redirects")
	return c.problems
}

type check struct {
	s        *Source
	secrets  *setting.Secrets
	problems setting.Problems
}

func (c *check) add(hint, message string, key ...string) { c.problems.Add(hint, message, key...) }

// choice reports a value that is none of the allowed ones.
func (c *check) choice(value string, allowed []string, key ...string) {
	if !slices.Contains(allowed, value) {
		c.add("allowed: "+strings.Join(allowed, ", "), fmt.Sprintf("%q is not known here", value), key...)
	}
}

// positive reports a duration that is zero.
func (c *check) positive(d setting.Duration, key ...string) {
	if d <= 0 {
		c.add(`write a duration like "30s"`, key[len(key)-1]+" must be more than zero", key...)
	}
}

// atLeast reports a number that is too small.
func (c *check) atLeast(n, least int, key ...string) {
	if n < least {
		c.add("", fmt.Sprintf("%d is too small; it must be at least %d", n, least), key...)
	}
}

func (c *check) request() {
	s := c.s
	if s.URL == "" {
		c.add(`write url = "https://host/path"`, "url is missing")
		return
	}
	r := compileRequests(s, "", &c.problems)
	c.choice(s.Method, []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, "SEARCH", "REPORT", "PROPFIND", "QUERY"}, "method")
	for key, refs := range r.references() {
		for _, ref := range refs {
			c.resolve(ref, strings.Split(key, ".")...)
		}
	}
	c.pagePlaceholders(r)
	c.cursorPlaceholders(r)
	if s.Body != "" && s.Method == http.MethodGet {
		c.problems.Warn(`set method = "POST" unless the API really reads the body of a GET`, "a GET with a body is often ignored", "body")
	}
	c.headers()
	c.literals().Of("query", s.Query)
	c.literals().OfQuery(s.URL, "url")
	for i, host := range s.AllowedHosts {
		if host == "" || strings.ContainsAny(host, "/?#@ *") {
			c.add(`write "host" or "host:port"`, fmt.Sprintf("%q is not a host", host), "allowed_hosts", strconv.Itoa(i))
		}
	}
}

func (c *check) headers() {
	for _, name := range slices.Sorted(maps.Keys(c.s.Headers)) {
		switch {
		case !isToken(name):
			c.add("", fmt.Sprintf("%q is not a header name", name), "headers", name)
		case strings.EqualFold(name, "Accept-Encoding"), strings.EqualFold(name, "Content-Length"), strings.EqualFold(name, "Transfer-Encoding"),
			strings.EqualFold(name, "Connection"), strings.EqualFold(name, "Range"):
			c.add("remove it; compression and connections are taken care of", name+" cannot be set", "headers", name)
		case strings.EqualFold(name, "If-None-Match"), strings.EqualFold(name, "If-Modified-Since"):
			c.add("remove it; see conditional", name+" cannot be set: it is sent when the server gave a validator", "headers", name)
		case !isSendable(c.s.Headers[name]):
			c.add(withoutControls, fmt.Sprintf("the value of the header %s cannot be sent", name), "headers", name)
		}
	}
	if !isSendable(c.s.UserAgent) {
		c.add(withoutControls, "user_agent cannot be sent", "user_agent")
	}
	c.literals().Of("headers", c.s.Headers)
}

const withoutControls = "remove line breaks and control characters"

// isSendable says whether a text can be the value of a header (RFC 9110, section 5.5).
func isSendable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// eventType looks at the name of the events: headers carry it, and people type it.
func (c *check) eventType() {
	bad := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) }
	if strings.ContainsFunc(c.s.Type, bad) || !utf8.ValidString(c.s.Type) {
		c.add(`write a name like "contact" or "com.example.contact"`, fmt.Sprintf("type = %q has blanks or control characters", c.s.Type), "type")
	}
}

// isToken says whether name is a token (RFC 9110, section 5.6.2).
func isToken(name string) bool {
	const others = "!#$%&'*+-.^_`|~"
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(others, r) {
			return false
		}
	}
	return name != ""
}

// literals warns of secrets that stand in the configuration itself, and keeps them out of messages.
func (c *check) literals() setting.Literals {
	return setting.Literals{Problems: &c.problems, Secrets: c.secrets, Hint: `write "{secret:env:NAME}"`, Replaced: true}
}

func (c *check) resolve(ref setting.Secret, key ...string) {
	if _, err := c.secrets.Resolve(ref); err != nil {
		c.add(setting.Hint(err), err.Error(), key...)
	}
}

func (c *check) schedule() {
	s := c.s
	switch {
	case s.Every == 0 && s.Cron == "":
		c.add(`write every = "5m"`, "neither every nor cron says when to poll")
	case s.Every != 0 && s.Cron != "":
		c.add("remove one of them", "every and cron are both set", "cron")
	case s.Every != 0 && s.Every.Std() < time.Second:
		c.add(`write at least "1s"`, fmt.Sprintf("every = %q is too often", s.Every), "every")
	}
	c.times()
	c.choice(s.OnStart, []string{"now", "schedule"}, "on_start")
	c.choice(s.Missed, []string{"once", "skip"}, "missed")
	c.positive(s.Timeout, "timeout")
	c.positive(s.Deadline, "deadline")
	if s.Every > 0 && s.Jitter > s.Every {
		c.add("", fmt.Sprintf("jitter = %q is longer than every = %q", s.Jitter, s.Every), "jitter")
	}
}

// times checks the spec, and that it ever meets the hours.
func (c *check) times() {
	s := c.s
	zone, err := loadZone(s.Timezone)
	if err != nil {
		c.add(`write a name like "Europe/Berlin" or "UTC"`, err.Error(), "timezone")
		zone = time.UTC
	}
	if s.Cron == "" {
		return
	}
	spec, err := ParseSchedule(s.Cron, zone)
	if err != nil {
		c.add(setting.Hint(err), err.Error(), "cron")
		return
	}
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if len(s.Active) > 0 && (within{spec, s.Active.in(zone)}).Next(first).IsZero() {
		c.add("let the two meet, or remove active", fmt.Sprintf("cron = %q never fires inside these hours", s.Cron), "active")
	}
}

func (c *check) records() {
	s := c.s
	if len(s.Key) == 0 && !s.Single {
		c.add(`write key = "id", or single = true when the answer is one object`, "key is missing")
	}
	spec := s.Spec()
	if _, err := spec.Compile(); err != nil {
		hint := ""
		if next, ok := err.(interface{ NextStep() string }); ok {
			hint = next.NextStep()
		}
		c.add(hint, err.Error(), c.keyOf(err)...)
	}
	c.choice(s.Initial, []string{"baseline", "emit"}, "initial")
	c.choice(s.WhereExit, []string{"deleted", "silent"}, "where_exit")
	if s.Single && s.Pages.Kind != "" {
		c.add("remove pages", "one single object has no pages", "pages", "kind")
	}
}

// keyOf finds the list in which the path stands that an error is about.
func (c *check) keyOf(err error) []string {
	for key, list := range map[string][]differ.Path{"fields": c.s.Fields, "ignore": c.s.Ignore, "unordered": c.s.Unordered} {
		for _, path := range list {
			if strings.Contains(err.Error(), path.String()) {
				return []string{key}
			}
		}
	}
	return nil
}

func (c *check) deletes() {
	d, g := c.s.Deletes, c.s.Guard
	c.choice(d.Detect, []string{"off", "scan", "flag"}, "deletes", "detect")
	switch {
	case d.Detect == "flag" && d.Flag.IsZero():
		c.add(`write flag = "the condition on a record that says so", like flag = "deleted == true"`, `deletes.detect = "flag" needs flag`, "deletes", "detect")
	case d.Detect != "flag" && !d.Flag.IsZero():
		c.add(`set detect = "flag"; beside detect = "scan" a condition in where does the same, like where = ["deleted != true"]`,
			`deletes.flag counts only with deletes.detect = "flag"`, "deletes", "flag")
	}
	c.atLeast(d.Confirm, 1, "deletes", "confirm")
	if d.Confirm > 100 {
		c.add("", fmt.Sprintf("%d is too large; it must be at most 100", d.Confirm), "deletes", "confirm")
	}
	c.verification()
	if d.Detect == "scan" && c.s.Single && !c.s.Partitions.used() {
		c.add("remove deletes", "one single object cannot be missing from a list", "deletes", "detect")
	}
	c.atLeast(g.MinDeletes, 0, "guard", "min_deletes")
	c.atLeast(g.MaxEvents, 0, "guard", "max_events")
	c.choice(g.Empty, []string{"hold", "allow"}, "guard", "empty")
}

func (c *check) answer() {
	formats := []string{"json", "ndjson", "xml", "csv"}
	c.choice(c.s.Response.Format, formats, "response", "format")
	c.formatKeys()
	if err := decodeOptions(c.s, "").Validate(); err != nil && slices.Contains(formats, c.s.Response.Format) {
		c.add(setting.Hint(err), err.Error(), "response")
	}
	for key, size := range map[string]setting.Size{"max_body": c.s.Response.MaxBody, "max_scan": c.s.Response.MaxScan} {
		if size <= 0 {
			c.add(`write a size like "64MiB"`, key+" must be more than zero", "response", key)
		}
	}
}

// formatKeys refuses keys of another format.
func (c *check) formatKeys() {
	r := c.s.Response
	for _, k := range []struct {
		key, format string
		given       bool
	}{
		{"force_array", "xml", len(r.ForceArray) > 0},
		{"delimiter", "csv", r.Delimiter != ""},
		{"columns", "csv", len(r.Columns) > 0},
	} {
		if k.given && r.Format != k.format {
			c.add(fmt.Sprintf("remove it, or write format = %q", k.format), k.key+" is for format "+k.format, "response", k.key)
		}
	}
	if !r.Empty.IsZero() && (c.s.Single || r.Format != "json" && r.Format != "xml") {
		c.add("remove it", "empty is for lists inside of an answer of JSON or XML", "response", "empty")
	}
	if !r.Message.IsZero() && r.Error.IsZero() {
		c.add(`write error = "the condition that says so"`, "message is the text of an error, and no error is described", "response", "message")
	}
}

func (c *check) retry() {
	r := c.s.Retry
	c.atLeast(r.Attempts, 1, "retry", "attempts")
	if r.Max < r.Base {
		c.add("", fmt.Sprintf("retry.max = %q is shorter than retry.base = %q", r.Max, r.Base), "retry", "max")
	}
	for i, status := range r.On {
		if status < 400 || status > 599 {
			c.add("write statuses from 400 to 599", fmt.Sprintf("%d cannot be retried", status), "retry", "on", strconv.Itoa(i))
		}
	}
}
