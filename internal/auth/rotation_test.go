package auth

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// keeper is a durable store whose disk can fail.
type keeper struct {
	mu     sync.Mutex
	data   []byte
	broken error
	late   bool   // a save works and fails
	saved  func() // told of each save that worked
}

func newKeeper() *keeper { return &keeper{} }

// LoadToken gives what was saved.
func (k *keeper) LoadToken(ctx context.Context) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.data, errors.Join(ctx.Err(), k.broken)
}

// SaveToken saves, unless the disk is broken.
func (k *keeper) SaveToken(ctx context.Context, old, data []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := errors.Join(ctx.Err(), k.broken); err != nil {
		return err
	}
	if !bytes.Equal(k.data, old) {
		return ErrMoved
	}
	k.data = data
	if k.saved != nil {
		k.saved()
	}
	if k.late {
		return errors.New("no answer in time")
	}
	return nil
}

func (k *keeper) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.broken = err
}

func refreshConfig(origin string) Config {
	c := clientConfig(origin)
	c.Grant, c.RefreshToken = "refresh_token", env("REFRESH")
	return c
}

func TestARotatedRefreshTokenSurvivesRestarts(t *testing.T) {
	p, k, v := newProvider(), newKeeper(), oauthVault()
	origin := p.start(t)
	for range 4 { // each is a new process
		c := newClient(t, refreshConfig(origin), origin, Options{Secrets: v.secrets(), Keep: k, Name: "crm"})
		c.ok(t, origin)
		p.revokeAll()
		c.ok(t, origin)
	}
	if p.revoked || p.count() != 8 {
		t.Errorf("revoked %v after %d token requests", p.revoked, p.count())
	}
}

func TestTheRotatedTokenIsDurableBeforeTheAccessTokenIsUsed(t *testing.T) {
	p, k, v := newProvider(), newKeeper(), oauthVault()
	var order []string
	mux := http.NewServeMux()
	mux.HandleFunc("/token", p.token)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		order = append(order, "used")
		p.api(w, r)
	})
	k.saved = func() { order = append(order, "saved") }
	s := serve(t, mux)
	newClient(t, refreshConfig(s.URL), s.URL, Options{Secrets: v.secrets(), Keep: k, Name: "crm"}).ok(t, s.URL)
	if got := strings.Join(order, " "); got != "saved used" {
		t.Errorf("order: %s", got)
	}
}

// The process dies between the durable save and the first use; the next one goes on with what was saved.
func TestACrashAfterTheSaveLosesNothing(t *testing.T) {
	p, k, v := newProvider(), newKeeper(), oauthVault()
	origin := p.start(t)
	k.saved = func() { panic(http.ErrAbortHandler) }
	func() {
		defer func() { _ = recover() }()
		c := newClient(t, refreshConfig(origin), origin, Options{Secrets: v.secrets(), Keep: k, Name: "crm"})
		_, _ = c.get(t, origin)
		t.Error("the test did not crash")
	}()
	k = &keeper{data: k.data}
	newClient(t, refreshConfig(origin), origin, Options{Secrets: v.secrets(), Keep: k, Name: "crm"}).ok(t, origin)
	if p.revoked || p.count() != 2 {
		t.Errorf("revoked %v, %d token requests", p.revoked, p.count())
	}
}

func TestATokenThatCannotBeSavedIsKeptAndNotUsedBefore(t *testing.T) {
	p, k, v, now := newProvider(), newKeeper(), oauthVault(), newClock()
	var used int
	mux := http.NewServeMux()
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		p.token(w, r)
		if p.count() == 1 {
			k.fail(errors.New("disk full of refresh-1"))
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { used++; p.api(w, r) })
	s := serve(t, mux)
	c := newClient(t, refreshConfig(s.URL), s.URL, Options{Secrets: v.secrets(), Keep: k, Name: "crm", Now: now.now})
	e := c.fails(t, s.URL)
	if e.Reason != ReasonKeeper || used != 0 || p.count() != 1 {
		t.Fatalf("%v; used %d, %d token requests", e, used, p.count())
	}
	if strings.Contains(e.Message+e.Hint, "refresh-1") {
		t.Errorf("the error has the token in it: %v", e)
	}
	k.fail(nil)
	now.pass(firstPause)
	c.ok(t, s.URL)
	if p.count() != 1 {
		t.Errorf("another token was asked for, %d in all, although one was waiting to be saved", p.count())
	}
	p.revokeAll()
	c.ok(t, s.URL)
	if p.revoked {
		t.Error("the chain broke")
	}
}

func TestWithoutTheSavedTokenNothingIsAsked(t *testing.T) {
	p, k, v := newProvider(), newKeeper(), oauthVault()
	origin := p.start(t)
	k.fail(errors.New("disk on fire"))
	c := newClient(t, refreshConfig(origin), origin, Options{Secrets: v.secrets(), Keep: k, Name: "crm"})
	if e := c.fails(t, origin); e.Reason != ReasonKeeper || p.count() != 0 {
		t.Errorf("%v, %d token requests", e, p.count())
	}
	k = newKeeper()
	k.data = []byte("{half")
	c = newClient(t, refreshConfig(origin), origin, Options{Secrets: v.secrets(), Keep: k, Name: "crm"})
	if e := c.fails(t, origin); e.Reason != ReasonKeeper || p.count() != 0 {
		t.Errorf("%v, %d token requests", e, p.count())
	}
}

func TestANewlyConfiguredRefreshTokenReplacesTheSavedOne(t *testing.T) {
	p, k, v, now := newProvider(), newKeeper(), oauthVault(), newClock()
	origin := p.start(t)
	c := newClient(t, refreshConfig(origin), origin, Options{Secrets: v.secrets(), Keep: k, Name: "crm", Now: now.now})
	c.ok(t, origin)
	p.mu.Lock()
	clear(p.family) // a person revokes the access and authorizes again
	p.family["second-seed"] = true
	p.mu.Unlock()
	p.revokeAll()
	e := c.fails(t, origin)
	if !strings.Contains(e.Message, "invalid_grant") || !strings.Contains(e.Hint, "authorize again") {
		t.Fatalf("%v; %s", e, e.Hint)
	}
	quiet(t, e, "refresh-seed", "refresh-1", clientSecret)
	v.set("REFRESH", "second-seed")
	c.ok(t, origin)
	p.revokeAll()
	c.ok(t, origin)
}

// Another process took the source over, renewed the token, and gave the source back.
func TestATokenThatAnotherProcessRotatedIsTakenFromTheStore(t *testing.T) {
	p, k, v := newProvider(), newKeeper(), oauthVault()
	origin := p.start(t)
	o := Options{Secrets: v.secrets(), Keep: k, Name: "crm"}
	here, there := newClient(t, refreshConfig(origin), origin, o), newClient(t, refreshConfig(origin), origin, o)
	for range 3 {
		here.ok(t, origin)
		p.revokeAll()
		there.ok(t, origin)
		p.revokeAll()
	}
	if p.revoked {
		t.Error("an old refresh token was used")
	}
}

func TestAnExchangeThatHasBegunIsNotInterrupted(t *testing.T) {
	p, k, v := newProvider(), newKeeper(), oauthVault()
	ctx, cancel := context.WithCancel(t.Context())
	mux := http.NewServeMux()
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		cancel() // the daemon stops just now
		p.token(w, r)
	})
	mux.HandleFunc("/", p.api)
	s := serve(t, mux)
	c := newClient(t, refreshConfig(s.URL), s.URL, Options{Secrets: v.secrets(), Keep: k, Name: "crm"})
	if _, err := c.ask(ctx, http.MethodGet, s.URL, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if len(k.data) == 0 {
		t.Fatal("the new refresh token is lost")
	}
	newClient(t, refreshConfig(s.URL), s.URL, Options{Secrets: v.secrets(), Keep: k, Name: "crm"}).ok(t, s.URL)
	if p.revoked {
		t.Error("the chain broke")
	}
}

func TestRequestsAtTheSameTimeUseOneRefreshTokenOnce(t *testing.T) {
	p, k, v := newProvider(), newKeeper(), oauthVault()
	origin := p.start(t)
	c := newClient(t, refreshConfig(origin), origin, Options{Secrets: v.secrets(), Keep: k, Name: "crm"})
	var group sync.WaitGroup
	for range 30 {
		group.Go(func() {
			if g, err := c.get(t, origin); err != nil || g.status != http.StatusOK {
				t.Errorf("%+v, %v", g, err)
			}
		})
	}
	group.Wait()
	if p.revoked || p.count() != 1 {
		t.Errorf("revoked %v, %d token requests", p.revoked, p.count())
	}
}

func TestTheGrantNeedsAKeeper(t *testing.T) {
	c := refreshConfig("http://127.0.0.1:1")
	_, err := New(&c, Options{Origin: address(t, "http://127.0.0.1:1"), Secrets: oauthVault().secrets(), Transport: http.DefaultTransport})
	if err == nil || !strings.Contains(err.Error(), "Keep") {
		t.Errorf("got %v", err)
	}
}

func TestATokenWhoseSavingHasAnUnknownOutcomeIsNotLost(t *testing.T) {
	p, k, v, now := newProvider(), newKeeper(), oauthVault(), newClock()
	origin := p.start(t)
	k.late = true
	c := newClient(t, refreshConfig(origin), origin, Options{Secrets: v.secrets(), Keep: k, Name: "crm", Now: now.now})
	c.ok(t, origin)
	p.revokeAll()
	c.ok(t, origin)
	if p.revoked || p.count() != 2 {
		t.Errorf("revoked %v, %d token requests", p.revoked, p.count())
	}
}

// Two processes renewed at the same time: the one that saved later lets its own token go and works with the other's.
func TestATokenIsNotSavedOverAnotherOne(t *testing.T) {
	p, k, v, now := newProvider(), newKeeper(), oauthVault(), newClock()
	origin := p.start(t)
	c := newClient(t, refreshConfig(origin), origin, Options{Secrets: v.secrets(), Keep: k, Name: "crm", Now: now.now})
	c.ok(t, origin)
	theirs := append([]byte(nil), k.data...)
	k.saved = func() { t.Error("it was saved over what somebody else saved") }
	moving := &moving{keeper: k, to: append(theirs, ' ')}
	c = newClient(t, refreshConfig(origin), origin, Options{Secrets: v.secrets(), Keep: moving, Name: "crm", Now: now.now})
	p.revokeAll()
	if e := c.fails(t, origin); e.Reason != ReasonKeeper || !errors.Is(e, ErrMoved) || !bytes.Equal(k.data, moving.to) {
		t.Errorf("%v, kept %d bytes", e, len(k.data))
	}
}

// moving is a keeper in which somebody else saves just before.
type moving struct {
	*keeper

	to []byte
}

func (m *moving) SaveToken(ctx context.Context, old, data []byte) error {
	m.mu.Lock()
	m.data = m.to
	m.mu.Unlock()
	return m.keeper.SaveToken(ctx, old, data)
}
