package page

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// isLocal says whether an address is a path of this listener: a link must not lead people elsewhere.
func isLocal(to string) bool {
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") {
		return false
	}
	u, err := url.Parse(to)
	return err == nil && u.Host == "" && u.Scheme == ""
}

// lead sends a browser to another page of ours.
func lead(w http.ResponseWriter, r *http.Request, to string) {
	if !isLocal(to) {
		to = "/"
	}
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // isLocal has looked at it
}

func loginURL(next string) string { return "/login?next=" + url.QueryEscape(next) }

func nextOf(v url.Values) string {
	if next := v.Get("next"); isLocal(next) {
		return next
	}
	return "/"
}

// loginForm is the page that asks for the token.
type loginForm struct{ Next, Problem string }

func (p *page) loginPage(w http.ResponseWriter, r *http.Request) {
	next := nextOf(r.URL.Query())
	if p.Door.MayAct(r) {
		lead(w, r, next)
		return
	}
	p.render(w, r, shown{view: "login", title: "Sign in", body: loginForm{Next: next}})
}

func (p *page) login(w http.ResponseWriter, r *http.Request) {
	const most = 16 << 10
	r.Body = http.MaxBytesReader(w, r.Body, most)
	next := nextOf(url.Values{"next": {r.PostFormValue("next")}})
	if err := p.Door.Login(w, r, r.PostFormValue("token")); err != nil {
		p.render(w, r, shown{view: "login", title: "Sign in", status: http.StatusForbidden, body: loginForm{Next: next, Problem: err.Error()}})
		return
	}
	lead(w, r, next)
}

func (p *page) logout(w http.ResponseWriter, r *http.Request) {
	if !p.allowed(w, r, "/") {
		return
	}
	p.Door.Logout(w, r)
	lead(w, r, "/")
}

// flash is what the next page says of what was just done.
type flash struct {
	Text    string `json:"t"`
	Command string `json:"c,omitempty"`
}

// flashCookie has nothing in it that matters: a forged one shows a text.
const flashCookie = "deltahook_done"

func setFlash(w http.ResponseWriter, r *http.Request, f flash) {
	raw, err := json.Marshal(f)
	if err != nil {
		return
	}
	http.SetCookie(w, doneCookie(r, base64.RawURLEncoding.EncodeToString(raw), 60))
}

func doneCookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // without TLS there is no secure cookie
		Name: flashCookie, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	}
}

// takeFlash reads what was done, once.
func takeFlash(w http.ResponseWriter, r *http.Request) (f flash) {
	c, err := r.Cookie(flashCookie)
	if err != nil {
		return f
	}
	raw, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || json.Unmarshal(raw, &f) != nil {
		f = flash{}
	}
	http.SetCookie(w, doneCookie(r, "", -1))
	return f
}
