package daemon_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/deltahook/deltahook/internal/store"
)

// fullDisk is a store that can be made to refuse the write check.
type fullDisk struct {
	store.Store
	full *atomic.Bool
}

func (f fullDisk) Probe(ctx context.Context) error {
	if f.full.Load() {
		return errors.New("no space left on device")
	}
	return f.Store.Probe(ctx)
}

// ask gives the status and the text of an answer of the daemon.
func (b *bundle) ask(t *testing.T, path string) (int, string) {
	t.Helper()
	status, text, _ := b.askAll(t, path)
	return status, text
}

func (b *bundle) askAll(t *testing.T, path string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.daemon.Addr()+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

func TestHealthDependsOnNobodyOutside(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[{"id":1}]}`, "")
	b.baselined(t)
	b.hooks.Close()
	b.api.fail(http.StatusInternalServerError, "")
	until(t, "a failing source", func() bool {
		s, err := b.client.Status(t.Context())
		return err == nil && s.Sources[0].State == "failing"
	})
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, text := b.ask(t, path); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

func TestAStoreThatTakesNoWritesIsUnhealthy(t *testing.T) {
	t.Parallel()
	full := &atomic.Bool{}
	full.Store(true)
	b := setup(t, `{"items":[]}`, "", func(b *bundle) {
		b.wrap = func(s store.Store) store.Store { return fullDisk{Store: s, full: full} }
	})
	until(t, "an unhealthy daemon", func() bool {
		status, text := b.ask(t, "/healthz")
		return status == http.StatusServiceUnavailable && strings.Contains(text, "no space left")
	})
	if err := b.daemon.Health(t.Context()); err == nil {
		t.Error("the watchdog is told another thing")
	}
}
