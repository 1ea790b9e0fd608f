package daemon_test

import (
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestEachCommandOfTheAPIPageWorks runs the curl commands of docs/api.md against a daemon; this test reads them as curl would.
func TestEachCommandOfTheAPIPageWorks(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`(?m)^curl .*$`).FindAllString(string(text), -1)
	if len(commands) < 10 {
		t.Fatalf("%d commands", len(commands))
	}
	b := setup(t, `{"items":[{"id":4711}]}`, "", edit("[source.things]", "[source.contacts]"))
	b.baselined(t)
	for _, command := range commands {
		req := curl(t, strings.ReplaceAll(strings.ReplaceAll(command, "127.0.0.1:9644", b.daemon.Addr()), "$TOKEN", "act"))
		resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", command, resp.Status)
		}
	}
}

// curl makes the request of a command line that has the options -X, -H, -G, -N and --data-urlencode.
func curl(t *testing.T, command string) *http.Request {
	t.Helper()
	words := regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`).FindAllString(command, -1)[1:]
	method, target, header, query := http.MethodGet, "", http.Header{}, url.Values{}
	for i := 0; i < len(words); i++ {
		value := func() string {
			i++
			return strings.Trim(words[i], `'"`)
		}
		switch words[i] {
		case "-X":
			method = value()
		case "-H":
			name, text, _ := strings.Cut(value(), ": ")
			header.Set(name, text)
		case "-G", "-N":
		case "--data-urlencode":
			name, text, _ := strings.Cut(value(), "=")
			query.Add(name, text)
		default:
			if target != "" || strings.HasPrefix(words[i], "-") {
				t.Fatalf("%s: what is %s?", command, words[i])
			}
			target = strings.Trim(words[i], `'"`)
		}
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	return req
}
