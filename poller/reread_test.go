package poller

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A tool that replaces a secret of the same length may keep the time of the file: nothing tells that it changed, except the refusal.
func TestASecretInTheRequestIsReadAgainWhenItIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	write := func(key string) {
		t.Helper()
		then := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	for name, edit := range map[string]func(*Source){
		"header": func(s *Source) { s.Headers = map[string]string{"X-Key": "{secret:file:" + path + "}"} },
		"query":  func(s *Source) { s.Query = map[string]string{"key": "{secret:file:" + path + "}"} },
		"url":    func(s *Source) { s.URL += "?key={secret:file:" + path + "}" },
		"body":   func(s *Source) { s.Method, s.Body = "POST", `{"key":"{secret:file:`+path+`}"}` },
	} {
		t.Run(name, func(t *testing.T) {
			good, asked := "key-planted-1", 0
			write(good)
			r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
				asked++
				body := make([]byte, 100)
				n, _ := q.Body.Read(body)
				if !strings.Contains(q.Header.Get("X-Key")+q.URL.RawQuery+string(body[:n]), good) {
					http.Error(w, "who?", http.StatusUnauthorized)
					return
				}
				reply(200, "application/json", `[{"id":1}]`)(w, q)
			}, edit)
			r.want(Complete)
			good, asked = "key-planted-2", 0
			write(good)
			if got := r.want(Unchanged); asked != 2 || got.Requests != 2 {
				t.Errorf("asked %d times, counted %d", asked, got.Requests)
			}
			good, asked = "nobody-knows", 0
			if got := r.want(Failed); asked != 1 || strings.Contains(got.Message+got.Hint, "planted") {
				t.Errorf("asked %d times: %s", asked, got.Message)
			}
		})
	}
}
