package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// token is what was fetched: a text, or the cookies of a session.
type token struct {
	text    string
	jar     http.CookieJar // of a session in cookies; nil: text
	expires time.Time      // zero: when it is refused
	early   time.Time      // from then on a new one is fetched, while this one still serves

	serial       uint64
	afterRefusal verdict // accepted: it was fetched because there was none
	used         bool    // an answer told something about it
}

// mint fetches tokens.
type mint interface {
	// fetch asks for a token once.
	fetch(ctx context.Context) (*token, error)
	// material is the fingerprint of the secrets that fetch uses.
	material() ([sha256.Size]byte, error)
}

// renewing proves with a token that it fetches, keeps and renews.
type renewing struct {
	bound
	mint     mint
	place    placement
	statuses []int
	expired  differ.Condition
	form     bool // a login page says that the session has expired
	secrets  *setting.Secrets
	now      func() time.Time
	hint     string // when a fresh token is refused

	turn chan struct{} // held while a token is fetched; guards pace
	pace pace

	mu      sync.Mutex // never held while something is asked
	current *token
	serial  uint64
	holds   holds
}

func newRenewing(c *Config, o Options, m mint, hint string) *renewing {
	return &renewing{
		bound: bind(o.Origin), mint: m, place: placementOf(c), statuses: c.ExpiredStatus, expired: c.Expired,
		secrets: o.Secrets, now: o.Now, hint: hint, turn: make(chan struct{}, 1),
	}
}

// Authorize puts the token on the request, fetching one if there is none or it is about to expire.
func (r *renewing) Authorize(ctx context.Context, req *http.Request) (Proof, error) {
	if err := r.check(req); err != nil {
		return Proof{}, err
	}
	t, err := r.get(ctx, req.URL)
	if err != nil {
		return Proof{}, err
	}
	if t.jar == nil {
		return Proof{t.serial}, r.place.put(req, t.text)
	}
	for _, cookie := range t.jar.Cookies(req.URL) {
		req.AddCookie(cookie)
	}
	return Proof{t.serial}, nil
}

// get gives a token for requests to u.
func (r *renewing) get(ctx context.Context, u *url.URL) (*token, error) {
	if t := r.serving(u, true); t != nil {
		return t, nil
	}
	if err := r.take(ctx); err != nil {
		return nil, err
	}
	defer r.leave()
	if t := r.serving(u, true); t != nil {
		return t, nil
	}
	t, err := r.renew(ctx, u, accepted)
	if err != nil {
		if t := r.serving(u, false); t != nil {
			return t, nil
		}
		return nil, err
	}
	return t, nil
}

// serving gives the current token if it can be used; a fresh one is also not about to expire.
func (r *renewing) serving(u *url.URL, fresh bool) *token {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.current
	if t == nil || !t.serves(u) {
		return nil
	}
	end := t.expires
	if fresh {
		end = t.early
	}
	if !end.IsZero() && !r.now().Before(end) {
		return nil
	}
	return t
}

func (t *token) serves(u *url.URL) bool { return t.jar == nil || len(t.jar.Cookies(u)) > 0 }

// take waits for the turn to fetch.
func (r *renewing) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *renewing) leave() { <-r.turn }

// renew fetches a token for requests to u, unless the endpoint has to be left alone. The caller has the turn.
func (r *renewing) renew(ctx context.Context, u *url.URL, why verdict) (*token, error) {
	material, err := r.mint.material()
	if err != nil {
		return nil, err
	}
	if err := r.pace.check(r.now(), material); err != nil {
		return nil, err
	}
	t, err := r.mint.fetch(ctx)
	if err == nil && u != nil && !t.serves(u) {
		err = &Error{
			Reason: ReasonToken, lasting: true, Message: fmt.Sprintf("the login set no cookie for %s%s", r.host, u.EscapedPath()),
			Hint: "set auth.token_path or auth.token_header if the session is not in cookies",
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, r.pace.failed(r.now(), material, err)
	}
	r.pace.succeeded()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serial++
	t.serial, t.afterRefusal = r.serial, why
	r.current = t
	return t, nil
}

// lasts sets how long a token serves; 0: until it is refused.
func (t *token) lasts(now time.Time, life time.Duration) {
	if life <= 0 {
		return
	}
	const margin = 30 * time.Second
	t.expires = now.Add(life)
	t.early = t.expires.Add(-min(margin, life/10))
}

// Answered learns from an answer whether the token is still accepted, and renews it when it is not.
func (r *renewing) Answered(ctx context.Context, p Proof, a Answer) (bool, error) {
	v := judge(a, r.statuses, r.expired)
	if v == accepted && r.form && isLoginForm(a) {
		v = refused
	}
	if v == limited {
		return false, nil
	}
	r.mu.Lock()
	if t := r.current; t != nil && t.serial == p.serial {
		r.learn(t, v, a)
	}
	r.mu.Unlock()
	if v == accepted {
		return false, nil
	}
	return r.again(ctx, p, v, a)
}

// learn notes the first answer that a token got and the cookies of later ones. The caller holds mu.
func (r *renewing) learn(t *token, v verdict, a Answer) {
	if !t.used {
		t.used = true
		r.holds.first(t, v, r.now())
	}
	if v == accepted && t.jar != nil {
		r.keepCookies(t, a.Header)
	}
}

// keepCookies follows a server that changes its session while it is used.
func (r *renewing) keepCookies(t *token, h http.Header) {
	if len(h["Set-Cookie"]) == 0 {
		return
	}
	cookies := (&http.Response{Header: h}).Cookies()
	for _, c := range cookies {
		r.secrets.Remember(c.Value)
	}
	u, err := url.Parse(r.origin + "/")
	if err != nil {
		return
	}
	t.jar.SetCookies(u, cookies)
}

// again replaces a token that was refused, unless somebody did so already or a new one would not help.
func (r *renewing) again(ctx context.Context, p Proof, v verdict, a Answer) (bool, error) {
	if err := r.take(ctx); err != nil {
		return false, err
	}
	defer r.leave()
	r.mu.Lock()
	t := r.current
	if t != nil && t.serial != p.serial {
		r.mu.Unlock()
		return true, nil
	}
	until := r.holds.until(v)
	if t != nil && r.now().Before(until) {
		r.mu.Unlock()
		return false, r.useless(a, until)
	}
	if v == refused {
		r.current = nil
	}
	r.mu.Unlock()
	if _, err := r.renew(ctx, nil, v); err != nil {
		return false, err
	}
	return true, nil
}

func (r *renewing) useless(a Answer, until time.Time) error {
	what := "refused the request"
	if a.Status < 400 || slices.Contains(r.statuses, a.Status) {
		what = "says that the session has expired"
	}
	return &Error{
		Reason: ReasonRefused, Status: a.Status, Hint: r.hint,
		Message: fmt.Sprintf("%s %s (%d), and a new token did not help; the next one is fetched in %s at the earliest",
			r.host, what, a.Status, until.Sub(r.now()).Round(time.Second)),
	}
}

// Peeks says whether an answer can say that the session has expired.
func (r *renewing) Peeks(h http.Header) bool { return !r.expired.IsZero() || r.form && isHTML(h) }

// Transport gives base.
func (r *renewing) Transport(base http.RoundTripper) http.RoundTripper { return base }
