package admin_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/bubble"
)

// from is a request of a browser or another program.
func from(addr, host string, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/act/pause", strings.NewReader(""))
	r.RemoteAddr, r.Host = addr, host
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

const (
	here      = "127.0.0.1:9644"
	elsewhere = "192.0.2.7:4711"
)

func door() *admin.Door { return admin.NewDoor(func() string { return "secret" }) }

func TestReadingIsOpenOnLoopbackOnly(t *testing.T) {
	for name, c := range map[string]struct {
		request *http.Request
		mayRead bool
		mayAct  bool
	}{
		"loopback":                      {request: from(here, here), mayRead: true},
		"localhost":                     {request: from("[::1]:80", "localhost:9644"), mayRead: true},
		"IPv6":                          {request: from("[::1]:80", "[::1]:9644"), mayRead: true},
		"elsewhere":                     {request: from(elsewhere, here)},
		"a name that leads to loopback": {request: from(here, "rebound.example:9644")},
		"behind a proxy on loopback":    {request: from(here, here, "X-Forwarded-For", "192.0.2.7")},
		"with the token":                {request: from(elsewhere, "example.com", "Authorization", "Bearer secret"), mayRead: true, mayAct: true},
		"with a scheme in lower case":   {request: from(elsewhere, "example.com", "Authorization", "bearer secret"), mayRead: true, mayAct: true},
		"with a wrong token":            {request: from(elsewhere, "example.com", "Authorization", "Bearer secre")},
		"loopback with a wrong token":   {request: from(here, here, "Authorization", "Bearer x"), mayRead: true},
		"with a wrong scheme":           {request: from(elsewhere, "example.com", "Authorization", "Basic secret")},
	} {
		t.Run(name, func(t *testing.T) {
			d := door()
			if read, act := d.MayRead(c.request), d.MayAct(c.request); read != c.mayRead || act != c.mayAct {
				t.Errorf("may read: %t, act: %t", read, act)
			}
		})
	}
}

func TestWithoutATokenNobodyActs(t *testing.T) {
	d := admin.NewDoor(func() string { return "" })
	if d.MayAct(from(here, here, "Authorization", "Bearer ")) {
		t.Error("the empty token lets act")
	}
	if err := d.Login(httptest.NewRecorder(), from(here, here), ""); !errors.Is(err, admin.ErrNoToken) {
		t.Errorf("login: %v", err)
	}
}

// login begins a session and gives its cookie.
func login(t *testing.T, d *admin.Door, r *http.Request) *http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	if err := d.Login(w, r, "secret"); err != nil {
		t.Fatal(err)
	}
	cookies := w.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("cookies: %v", cookies)
	}
	return cookies[0]
}

func with(c *http.Cookie, r *http.Request) *http.Request {
	r.AddCookie(c)
	return r
}

func TestASessionActsFromItsOwnFormsOnly(t *testing.T) {
	d := door()
	c := login(t, d, from(elsewhere, "example.com:9644"))
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || c.Path != "/" {
		t.Errorf("the cookie: %+v", c)
	}
	ask := func(header ...string) *http.Request { return with(c, from(elsewhere, "example.com:9644", header...)) }
	form := d.FormToken(ask())
	if form == "" || !d.MayRead(ask()) || !d.MayAct(ask()) {
		t.Fatal("the session is not known")
	}
	for name, one := range map[string]struct {
		header []string
		ok     bool
	}{
		"its own form":                 {[]string{"X-CSRF-Token", form, "Sec-Fetch-Site", "same-origin"}, true},
		"without Sec-Fetch-Site":       {[]string{"X-CSRF-Token", form, "Origin", "https://example.com:9644"}, true},
		"neither":                      {[]string{"X-CSRF-Token", form}, true},
		"no token of the form":         {[]string{"Sec-Fetch-Site", "same-origin"}, false},
		"a guessed token":              {[]string{"X-CSRF-Token", form + "x", "Sec-Fetch-Site", "same-origin"}, false},
		"another site":                 {[]string{"X-CSRF-Token", form, "Sec-Fetch-Site", "cross-site"}, false},
		"another port of the machine":  {[]string{"X-CSRF-Token", form, "Sec-Fetch-Site", "same-site"}, false},
		"another origin":               {[]string{"X-CSRF-Token", form, "Origin", "https://example.org"}, false},
		"another port, by its origin":  {[]string{"X-CSRF-Token", form, "Origin", "https://example.com:8080"}, false},
		"an origin that is not to say": {[]string{"X-CSRF-Token", form, "Origin", "null"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := d.CheckForm(ask(one.header...)); got != one.ok {
				t.Errorf("passes: %t", got)
			}
		})
	}
	posted := with(c, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("csrf="+form)))
	posted.Host = "example.com:9644"
	posted.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if !d.CheckForm(posted) {
		t.Error("the field csrf does not count")
	}
	d.Logout(httptest.NewRecorder(), ask())
	if d.MayAct(ask()) || d.FormToken(ask()) != "" {
		t.Error("the session is there after the logout")
	}
}

func TestASessionBehindTLSHasASecureCookie(t *testing.T) {
	c := login(t, door(), from(elsewhere, "example.com", "X-Forwarded-Proto", "https"))
	if !c.Secure || !strings.HasPrefix(c.Name, "__Host-") {
		t.Errorf("%+v", c)
	}
}

func TestTwoDaemonsOnOneMachineDoNotShareACookie(t *testing.T) {
	a, b := login(t, door(), from(here, "127.0.0.1:9644")), login(t, door(), from(here, "127.0.0.1:9645"))
	if a.Name == b.Name {
		t.Errorf("both are called %s", a.Name)
	}
}

func TestAnotherSiteLogsNobodyIn(t *testing.T) {
	err := door().Login(httptest.NewRecorder(), from(here, here, "Sec-Fetch-Site", "cross-site"), "secret")
	if !errors.Is(err, admin.ErrForeign) {
		t.Errorf("%v", err)
	}
}

func TestSessionsEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		token := "secret"
		d := admin.NewDoor(func() string { return token })
		begin := func() func() bool {
			c := login(t, d, from(here, here))
			return func() bool { return d.MayAct(with(c, from(here, here))) }
		}
		idle, used := begin(), begin()
		for range 7 * 24 {
			time.Sleep(time.Hour)
			used()
		}
		if !used() || idle() {
			t.Errorf("after a week, used: %t, idle: %t", used(), idle())
		}
		time.Sleep(time.Second)
		if used() {
			t.Error("a session lives longer than a week")
		}
		changed := begin()
		token = "another"
		if changed() {
			t.Error("a session outlived its token")
		}
		token = "secret"
		if changed() {
			t.Error("a session came back")
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := door()
		var cookies []*http.Cookie
		for range 300 {
			cookies = append(cookies, login(t, d, from(here, here)))
			time.Sleep(time.Second)
		}
		known := 0
		for _, c := range cookies {
			if d.MayAct(with(c, from(here, here))) {
				known++
			}
		}
		if known != 256 || d.MayAct(with(cookies[43], from(here, here))) || !d.MayAct(with(cookies[44], from(here, here))) {
			t.Errorf("%d sessions are known, and not the last ones", known)
		}
	})
}

func TestTokensCannotBeGuessed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := door()
		try := func(addr, token string) error {
			return d.Login(httptest.NewRecorder(), from(addr, "example.com"), token)
		}
		for range 5 { // the right one does not count
			if err := try(elsewhere, "secret"); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 10 {
			if err := try(elsewhere, "guess"); !errors.Is(err, admin.ErrWrongToken) {
				t.Fatalf("guess %d: %v", i, err)
			}
		}
		limit, ok := errors.AsType[*admin.LimitError](try(elsewhere, "secret"))
		if !ok || limit.Wait > 6*time.Second {
			t.Errorf("the eleventh: %v", limit)
		}
		if d.MayAct(from(elsewhere, "example.com", "Authorization", "Bearer secret")) {
			t.Error("the limit does not hold for tokens in the header")
		}
		if err := try("192.0.2.8:1", "secret"); err != nil {
			t.Errorf("another address: %v", err)
		}
		time.Sleep(7 * time.Second)
		if err := try(elsewhere, "secret"); err != nil {
			t.Errorf("after a while: %v", err)
		}
	})
}

func TestManyAddressesGuessNoFaster(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := door()
		wrong := 0
		for i := range 10_000 {
			err := d.Login(httptest.NewRecorder(), from(fmt.Sprintf("[2001:db8:%x:%x::1]:443", i>>8, i&255), "example.com"), "guess")
			if errors.Is(err, admin.ErrWrongToken) {
				wrong++
			}
		}
		if wrong != 60 {
			t.Errorf("%d guesses", wrong)
		}
		if err := d.Login(httptest.NewRecorder(), from(here, here), "secret"); err != nil {
			t.Errorf("loopback is locked out: %v", err)
		}
	})
}
