package storetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deltahook/deltahook/poller"
)

func vaultTests() []test {
	return []test{
		{"what is kept is durable, byte for byte, and apart for each source", vaultKeeps},
		{"a value is replaced only by who knows it", vaultCompares},
		{"of sixteen who replace one value one wins", vaultRace},
		{"a stale owner neither reads nor replaces what is kept", vaultFenced},
		{"commits and resets leave what is kept alone", vaultStays},
		{"what is kept goes with the state of a source that left", vaultGoes},
		{"what is kept is in no list and in no error", vaultSilent},
	}
}

const tokenName = "token"

func (w *world) kept(m poller.Vault, source string) string {
	w.Helper()
	value, err := m.Kept(w.ctx(), source, tokenName)
	w.must(err)
	if value == nil {
		return "(nothing)"
	}
	return string(value)
}

func vaultKeeps(w *world) {
	m := w.owner("a", shortTTL)
	w.equal("at first", w.kept(m, "contacts"), "(nothing)")
	first, second := []byte("one\x00\xff"), []byte(strings.Repeat("two", 10_000))
	w.must(m.Keep(w.ctx(), "contacts", tokenName, nil, first))
	w.must(m.Keep(w.ctx(), "orders", tokenName, nil, []byte{}))
	w.must(m.Keep(w.ctx(), "contacts", "another", nil, []byte("else")))
	m = w.restart("b")
	w.equal("of the source", w.kept(m, "contacts"), string(first))
	w.equal("of another", w.kept(m, "orders"), "")
	w.must(m.Keep(w.ctx(), "contacts", tokenName, first, second))
	m = w.restart("c")
	w.equal("replaced", w.kept(m, "contacts"), string(second))
	w.must(m.Keep(w.ctx(), "contacts", tokenName, second, nil))
	m = w.restart("d")
	w.equal("removed", w.kept(m, "contacts"), "(nothing)")
	value, err := m.Kept(w.ctx(), "contacts", "another")
	w.must(err)
	w.equal("the other name", string(value), "else")
}

func vaultCompares(w *world) {
	m := w.owner("a", longTTL)
	refused := func(old []byte) {
		w.Helper()
		if err := m.Keep(w.ctx(), "contacts", tokenName, old, []byte("new")); !errors.Is(err, poller.ErrConflict) {
			w.Errorf("replacing %q: %v", old, err)
		}
	}
	refused([]byte("guess"))
	refused([]byte{})
	w.must(m.Keep(w.ctx(), "contacts", tokenName, nil, []byte("one")))
	refused(nil)
	refused([]byte("on"))
	w.equal("kept", w.kept(m, "contacts"), "one")
}

func vaultRace(w *world) {
	m := w.owner("a", longTTL)
	w.must(m.Keep(w.ctx(), "contacts", tokenName, nil, []byte("seed")))
	var wins, conflicts atomic.Int64
	var wg sync.WaitGroup
	for i := range byte(16) {
		wg.Go(func() {
			switch err := m.Keep(w.ctx(), "contacts", tokenName, []byte("seed"), []byte{i}); {
			case err == nil:
				wins.Add(1)
			case errors.Is(err, poller.ErrConflict):
				conflicts.Add(1)
			default:
				w.Errorf("%v", err)
			}
		})
	}
	w.within(&wg)
	w.equal("wins and conflicts", []int64{wins.Load(), conflicts.Load()}, []int64{1, 15})
}

func vaultFenced(w *world) {
	a := w.owner("a", shortTTL)
	w.must(a.Keep(w.ctx(), "contacts", tokenName, nil, []byte("one")))
	b := w.takeOver("b")
	_, err := a.Kept(w.ctx(), "contacts", tokenName)
	w.refused("reading the vault", err)
	w.refused("keeping", a.Keep(w.ctx(), "contacts", tokenName, []byte("one"), []byte("two")))
	w.equal("kept", w.kept(b, "contacts"), "one")
	w.must(b.Keep(w.ctx(), "contacts", tokenName, []byte("one"), []byte("two")))
}

func vaultStays(w *world) {
	m := w.owner("a", longTTL)
	w.must(m.Keep(w.ctx(), "contacts", tokenName, nil, []byte("one")))
	w.commit(m, "contacts", w.some("contacts", 1, 3)...)
	c := poll("contacts", w.load(m, "contacts"))
	c.State, c.Forget = poller.State{}, poller.ForgetAll
	_, err := m.Commit(w.ctx(), c)
	w.must(err)
	w.equal("kept", w.kept(m, "contacts"), "one")
}

func vaultGoes(w *world) {
	m := w.owner("a", longTTL)
	left := noon()
	for _, source := range []string{"contacts", "orders"} {
		w.must(m.Keep(w.ctx(), source, tokenName, nil, []byte("one")))
		w.commit(m, source, w.some(source, 1, 1)...)
	}
	w.must(m.SetSources(w.ctx(), []string{"orders"}, left))
	w.sweep(time.Time{}, left.Add(-time.Hour))
	w.equal("while it may come back", w.kept(m, "contacts"), "one")
	w.sweep(time.Time{}, left.Add(time.Hour))
	w.equal("later", w.kept(m, "contacts"), "(nothing)")
	w.equal("of one that stayed", w.kept(m, "orders"), "one")
}

func vaultSilent(w *world) {
	m := w.owner("a", longTTL)
	const secret = "planted-in-the-vault"
	w.commit(m, "contacts", w.some("contacts", 1, 2, "app")...)
	w.must(m.Keep(w.ctx(), "contacts", tokenName, nil, []byte(secret)))
	sources, err := w.st.Sources(w.ctx())
	w.must(err)
	for _, row := range sources {
		if strings.Contains(string(row.State.Cursor)+row.State.Identity+row.Name, secret) {
			w.Errorf("it is in the list of sources: %+v", row)
		}
	}
	if text := w.dump(m, "contacts"); strings.Contains(text, secret) {
		w.Errorf("it can be seen: %s", text)
	}
	cancelled, cancel := context.WithCancel(w.ctx())
	cancel()
	for _, err := range []error{
		m.Keep(w.ctx(), "contacts", tokenName, []byte("wrong-"+secret), []byte("other-"+secret)),
		m.Keep(cancelled, "contacts", tokenName, []byte(secret), []byte("other-"+secret)),
	} {
		if err == nil || strings.Contains(err.Error(), secret) {
			w.Errorf("got the error %v", err)
		}
	}
}

func vaultMutants() []Mutant {
	forget := func(ctx context.Context, m *brokenMember, source, name string, old, value []byte) error {
		m.st.mu.Lock()
		defer m.st.mu.Unlock()
		if m.st.vault == nil {
			m.st.vault = map[string][]byte{}
		}
		m.st.vault[source+name] = value
		return nil
	}
	return []Mutant{
		{
			Name: "what is kept is lost with the process", By: "what is kept is durable, byte for byte, and apart for each source",
			breaks: breakage{keep: forget, kept: func(ctx context.Context, m *brokenMember, source, name string) ([]byte, error) {
				m.st.mu.Lock()
				defer m.st.mu.Unlock()
				return m.st.vault[source+name], nil
			}},
		},
		{
			Name: "the old value is not compared", By: "a value is replaced only by who knows it",
			breaks: breakage{keep: func(ctx context.Context, m *brokenMember, source, name string, _, value []byte) error {
				for {
					old, err := m.Member.Kept(ctx, source, name)
					if err != nil {
						return err
					}
					if err := m.Member.Keep(ctx, source, name, old, value); !errors.Is(err, poller.ErrConflict) {
						return err
					}
				}
			}},
		},
		{
			Name: "a stale owner may replace what is kept", By: "a stale owner neither reads nor replaces what is kept",
			breaks: breakage{keep: func(ctx context.Context, m *brokenMember, source, name string, old, value []byte) error {
				err := m.Member.Keep(ctx, source, name, old, value)
				for _, other := range m.st.others(m) {
					if errors.Is(err, poller.ErrFenced) {
						err = other.Member.Keep(ctx, source, name, old, value)
					}
				}
				return err
			}},
		},
		{
			Name: "errors show what was to be kept", By: "what is kept is in no list and in no error",
			breaks: breakage{keep: func(ctx context.Context, m *brokenMember, source, name string, old, value []byte) error {
				if err := m.Member.Keep(ctx, source, name, old, value); err != nil {
					return errors.Join(err, errors.New(string(value)))
				}
				return nil
			}},
		},
	}
}
