package docs_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

// reply is a block "http" of a page: a request line, header lines of the answer, and its body. "with TEXT" behind the request line wants
// TEXT in the body or in a header of the request.
type reply struct {
	method, path, with string
	query              url.Values
	headers            map[string]string
	body               string
}

func parseReply(t *testing.T, text string) reply {
	t.Helper()
	head, body, ok := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	line, with, _ := strings.Cut(lines[0], " with ")
	method, target, found := strings.Cut(line, " ")
	u, err := url.Parse(target)
	if !ok || !found || err != nil {
		t.Fatalf("not an answer: %q (%v)", text, err)
	}
	r := reply{method: method, path: u.Path, query: u.Query(), with: with, headers: map[string]string{}, body: strings.TrimSuffix(body, "\n")}
	for _, header := range lines[1:] {
		name, value, _ := strings.Cut(header, ": ")
		r.headers[name] = value
	}
	return r
}

// fits says how well a request fits, and whether it does.
func (r *reply) fits(req *http.Request, body string) (score int, ok bool) {
	if req.Method != r.method || req.URL.Path != r.path {
		return 0, false
	}
	for name := range r.query {
		if req.URL.Query().Get(name) != r.query.Get(name) {
			return 0, false
		}
		score++
	}
	if r.with == "" {
		return score, true
	}
	found := strings.Contains(body, r.with)
	for _, values := range req.Header {
		found = found || strings.Contains(strings.Join(values, "\n"), r.with)
	}
	return score + 1, found
}

// pretend is a server that answers as a page says.
type pretend struct {
	mu      sync.Mutex
	replies []reply
	strange []string // requests that the page does not know
	asked   map[int]bool
}

func (p *pretend) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	raw, _ := io.ReadAll(req.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	best, most := -1, -1
	for i := range p.replies {
		if score, ok := p.replies[i].fits(req, string(raw)); ok && score > most {
			best, most = i, score
		}
	}
	if best < 0 {
		p.strange = append(p.strange, req.Method+" "+req.URL.String()+" "+string(raw))
		http.NotFound(w, req)
		return
	}
	p.asked[best] = true
	for name, value := range p.replies[best].headers {
		w.Header().Set(name, value)
	}
	_, _ = io.WriteString(w, p.replies[best].body)
}

// Each page of docs/shapes has what an API answers, the source that polls it and what a poll finds: that is what it finds.
func TestEveryShapeOfAnAPIIsPolledAsItsPageSays(t *testing.T) {
	paths, err := filepath.Glob("shapes/*.md")
	if err != nil || len(paths) < 15 {
		t.Fatalf("pages: %q, %v", paths, err)
	}
	index, err := os.ReadFile("shapes/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		name := filepath.Base(path)
		if name == "README.md" {
			continue
		}
		t.Run(strings.TrimSuffix(name, ".md"), func(t *testing.T) {
			if !strings.Contains(string(index), "("+name+")") {
				t.Error("the index does not list it")
			}
			checkShape(t, path)
		})
	}
}

func checkShape(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := &pretend{asked: map[int]bool{}}
	var conf, want string
	_, found := blocks(string(text))
	for _, b := range found {
		switch b.info {
		case "http":
			p.replies = append(p.replies, parseReply(t, b.text))
		case "toml":
			conf = b.text
		case "text":
			want = strings.TrimSpace(b.text)
		}
	}
	api := httptest.NewServer(p)
	defer api.Close()
	conf = regexp.MustCompile(`https://[a-z]+\.example\.com`).ReplaceAllString(conf, api.URL)
	conf += "\n[webhook.app]\nurl = \"http://127.0.0.1:9/\"\nsecret = \"env:SECRET\"\n"
	secrets := &setting.Secrets{LookupEnv: func(name string) (string, bool) {
		if name == "PASSWORD" {
			return "s3cret", true
		}
		return "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true
	}}
	c, report := config.Parse([]config.File{{Path: path, Text: []byte(conf)}}, secrets)
	if !report.OK() || len(c.Sources) != 1 {
		t.Fatalf("the configuration is not valid:\n%s", report)
	}
	var keys []string
	trial, err := poller.TryPoll(t.Context(), *c.Sources[0], poller.Options{Secrets: secrets}, poller.TryOptions{
		Record: func(key string, _ []byte) { keys = append(keys, key) },
	})
	if err != nil {
		t.Fatal(err)
	}
	keys = unique(keys)
	if got := string(trial.Verdict) + ": " + strings.Join(keys, ", "); got != want {
		t.Errorf("a poll finds %q, the page says %q (%s; %s)", got, want, trial.Message, trial.Hint)
	}
	if len(p.strange) > 0 {
		t.Errorf("requests that the page does not have: %q", p.strange)
	}
	for i := range p.replies {
		if !p.asked[i] {
			t.Errorf("nobody asked for %s %s?%s", p.replies[i].method, p.replies[i].path, p.replies[i].query.Encode())
		}
	}
}

// unique leaves out what overlapping pages show again.
func unique(keys []string) []string {
	var out []string
	for _, key := range keys {
		if !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	return out
}
