package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Bounds of sessions.
const (
	maxSessions = 256
	sessionIdle = 12 * time.Hour
	sessionLife = 7 * 24 * time.Hour
)

// Errors of logging in.
var (
	ErrWrongToken = errors.New("this is not the admin token")
	ErrForeign    = errors.New("the request came from another page; open deltahook itself and try again")
	ErrNoToken    = errors.New("there is no admin token: set admin.token")
)

// LimitError says that there were too many wrong tokens.
type LimitError struct{ Wait time.Duration }

// Error says when to try again.
func (e *LimitError) Error() string {
	return fmt.Sprintf("too many wrong tokens; try again in %s", e.Wait.Round(time.Second))
}

// Door says who may look and who may act. Reading is open on loopback; acting, and everything from elsewhere, needs the token, sent with
// the request or shown once to begin a session of a browser. Sessions live in memory: they end with the daemon, when the token changes,
// after twelve hours without a request and after a week.
type Door struct {
	token   func() string
	limiter limiter

	mu       sync.Mutex
	sessions map[[sha256.Size]byte]*session // by the hash of the cookie
}

type session struct {
	form  string // token of the forms
	token [sha256.Size]byte
	began time.Time
	seen  time.Time
}

// NewDoor makes a door. The token is asked for at each request; while it is empty nobody may act.
func NewDoor(token func() string) *Door {
	return &Door{token: token, sessions: map[[sha256.Size]byte]*session{}}
}

// MayRead says whether the sender of a request may look.
func (d *Door) MayRead(r *http.Request) bool { return fromLoopback(r) || d.MayAct(r) }

// MayAct says whether the sender of a request may act. One that is known by a session must pass CheckForm, too.
func (d *Door) MayAct(r *http.Request) bool { return d.bearer(r) == nil || d.find(r) != nil }

// mayRead says why the sender of a request may not look. What another site makes a browser ask for is not answered.
func (d *Door) mayRead(r *http.Request) error {
	switch {
	case foreign(r):
		return ErrForeign
	case fromLoopback(r), d.find(r) != nil:
		return nil
	}
	return d.bearer(r)
}

// mayAct says why the sender of a request may not act; a browser's must carry the token of the forms.
func (d *Door) mayAct(r *http.Request) error {
	err := d.bearer(r)
	if err == nil {
		return nil
	}
	if d.find(r) == nil {
		return err
	}
	if !d.CheckForm(r) {
		return ErrForeign
	}
	return nil
}

// bearer looks for the token in the request.
func (d *Door) bearer(r *http.Request) error {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") { // schemes have no case: RFC 9110, 11.1
		return ErrNoToken
	}
	return d.check(r, given)
}

// check compares a token, and bounds how often a wrong one can be tried.
func (d *Door) check(r *http.Request, given string) error {
	undo, wait := d.limiter.take(r.RemoteAddr)
	if wait > 0 {
		return &LimitError{Wait: wait}
	}
	if !d.same(sha256.Sum256([]byte(given))) {
		return ErrWrongToken
	}
	undo()
	return nil
}

// same compares a hash with that of the token, in constant time.
func (d *Door) same(hash [sha256.Size]byte) bool {
	token := d.token()
	want := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(hash[:], want[:]) == 1 && token != ""
}

// Login begins a session for whoever knows the token. The error is for people: ErrWrongToken, ErrForeign, ErrNoToken or a *LimitError.
func (d *Door) Login(w http.ResponseWriter, r *http.Request, token string) error {
	switch {
	case foreign(r):
		return ErrForeign
	case d.token() == "":
		return ErrNoToken
	}
	if err := d.check(r, token); err != nil {
		return err
	}
	id, now := rand.Text(), time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tidy(now)
	d.sessions[sha256.Sum256([]byte(id))] = &session{form: rand.Text(), token: sha256.Sum256([]byte(token)), began: now, seen: now}
	http.SetCookie(w, cookie(r, id, int(sessionLife.Seconds())))
	return nil
}

// tidy drops what is over, and makes room for one more.
func (d *Door) tidy(now time.Time) {
	var oldest [sha256.Size]byte
	for id, s := range d.sessions {
		if s.over(now) {
			delete(d.sessions, id)
			continue
		}
		if o := d.sessions[oldest]; o == nil || s.seen.Before(o.seen) {
			oldest = id
		}
	}
	if len(d.sessions) >= maxSessions {
		delete(d.sessions, oldest)
	}
}

func (s *session) over(now time.Time) bool {
	return now.Sub(s.seen) > sessionIdle || now.Sub(s.began) > sessionLife
}

// Logout ends the session of the sender.
func (d *Door) Logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName(r)); err == nil {
		d.mu.Lock()
		delete(d.sessions, sha256.Sum256([]byte(c.Value)))
		d.mu.Unlock()
	}
	http.SetCookie(w, cookie(r, "", -1))
}

// FormToken is what each form of the sender carries, so that no foreign page can send one; empty without a session.
func (d *Door) FormToken(r *http.Request) string {
	if s := d.find(r); s != nil {
		return s.form
	}
	return ""
}

// CheckForm says whether a request comes from a form of the sender's own page: it carries the token of the forms, as the field csrf or
// in the header X-CSRF-Token, and the browser does not say otherwise.
func (d *Door) CheckForm(r *http.Request) bool {
	s := d.find(r)
	if s == nil || foreign(r) {
		return false
	}
	given := r.Header.Get("X-CSRF-Token")
	if given == "" {
		given = r.PostFormValue("csrf")
	}
	return subtle.ConstantTimeCompare([]byte(given), []byte(s.form)) == 1
}

// find gives the session of the sender; nil when there is none.
func (d *Door) find(r *http.Request) *session {
	c, err := r.Cookie(cookieName(r))
	if err != nil {
		return nil
	}
	id, now := sha256.Sum256([]byte(c.Value)), time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessions[id]
	if s == nil || s.over(now) || !d.same(s.token) {
		delete(d.sessions, id)
		return nil
	}
	s.seen = now
	return s
}

// cookie is sent to this site only, never from another one, and no script reads it.
func cookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure where there is TLS: over plain HTTP, as on loopback, browsers would drop it
		Name: cookieName(r), Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: overTLS(r), SameSite: http.SameSiteStrictMode,
	}
}

// cookieName has the port, because cookies do not tell ports apart: two daemons on one machine must not end each other's sessions.
func cookieName(r *http.Request) string {
	name := "deltahook"
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		name += "-" + port
	}
	if overTLS(r) {
		return "__Host-" + name
	}
	return name
}

// overTLS says whether the browser came over TLS. A sender that lies about it harms its own cookie only.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// foreign says whether the browser says that another site made the request. What is no browser says nothing.
func foreign(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site != "same-origin" && site != "none"
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, r.Host)
}

// fromLoopback also looks at the Host header: a foreign name there is a web page that had its name resolved to loopback. What a proxy
// forwards comes from elsewhere, whatever its own address is.
func fromLoopback(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	return isLoopback(r.RemoteAddr) && (host == "localhost" || isLoopback(net.JoinHostPort(strings.Trim(host, "[]"), "0")))
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
