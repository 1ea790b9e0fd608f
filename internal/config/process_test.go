package config

import (
	"log/slog"
	"testing"

	"github.com/deltahook/deltahook/internal/setting"
)

func TestTheStoreURLMayBeASecret(t *testing.T) {
	secrets := &setting.Secrets{LookupEnv: func(name string) (string, bool) { return "sqlite:/data/a.db", name == "STORE" }}
	s := DefaultStore()
	for url, want := range map[string]string{"env:STORE": "sqlite:/data/a.db", "sqlite:b.db": "sqlite:b.db", "postgres://ann@/hooks?host=/run/postgresql": "postgres://ann@/hooks?host=/run/postgresql"} {
		s.URL = url
		if got, err := s.Location(secrets); err != nil || got != want {
			t.Errorf("%s: %q, %v", url, got, err)
		}
		if p := s.Validate(secrets); len(p) != 0 {
			t.Errorf("%s: %v", url, p)
		}
	}
}

func TestALogLevelIsOneOfSlog(t *testing.T) {
	for name, want := range map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError} {
		if l := (Log{Format: "json", Level: name}); l.Slog() != want || len(l.Validate(nil)) != 0 {
			t.Errorf("%s: %v, %v", name, l.Slog(), l.Validate(nil))
		}
	}
}

func TestAnAdminAddressIsLoopbackByNumberOrName(t *testing.T) {
	for listen, problems := range map[string]int{
		"127.0.0.1:9644": 0, "[::1]:9644": 0, "localhost:9644": 0, "127.0.0.1:0": 0,
		"0.0.0.0:9644": 1, ":9644": 1, "example.com:9644": 1, "127.0.0.1": 1, "127.0.0.1:http": 1, "127.0.0.1:99999": 1, "": 1,
	} {
		a := DefaultAdmin()
		a.Listen = listen
		if p := a.Validate(&setting.Secrets{}); len(p) != problems {
			t.Errorf("%s: %v", listen, p)
		}
	}
}

func TestOnlyNearWordsAreSuggested(t *testing.T) {
	known := []string{"every", "cron", "key", "max_in_flight", "url", "to", "query"}
	for word, want := range map[string]string{
		"evry": "every", "EVERY": "every", "evrey": "every", "maxInFlight": "max_in_flight", "max-in-fligth": "max_in_flight",
		"ulr": "url", "kye": "key", "banana": "", "x": "", "": "", "interval": "", "qeury": "query",
	} {
		if got := Suggest(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
