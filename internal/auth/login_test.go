package auth

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// office is an old system: a login gives a session, and an expired one is told of inside a 200.
type office struct {
	mu       sync.Mutex
	logins   int
	sessions map[string]int // requests that are left; below 0: no limit
	limit    int            // of a session
	sliding  bool           // each answer has a new cookie
	problem  string         // that the test found
}

const officePassword = `qu"ote\pass&word`

func newOffice() *office { return &office{sessions: map[string]int{}, limit: -1} }

func (o *office) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.logins
}

func (o *office) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.sessions)
}

// open makes a session. The caller holds mu.
func (o *office) open() string {
	o.logins++
	id := "session-" + strconv.Itoa(o.logins)
	o.sessions[id] = o.limit
	return id
}

// use says whether the session is good for one more request.
func (o *office) use(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	left, ok := o.sessions[id]
	if !ok || left == 0 {
		return false
	}
	o.sessions[id] = left - 1
	return true
}

func (o *office) jsonLogin(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var form struct {
		User     string `json:"user"`
		Password string `json:"password"`
	}
	if err := json.NewDecoder(r.Body).Decode(&form); err != nil || r.Header.Get("Content-Type") != "application/json" {
		o.problem = fmt.Sprintf("%v, %v", err, r.Header)
	}
	if form.User != "ann" || form.Password != officePassword {
		_, _ = io.WriteString(w, `{"success":false,"message":"wrong: `+strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(form.Password)+`"}`)
		return
	}
	id := o.open()
	w.Header().Set("X-Subject-Token", id)
	_ = json.NewEncoder(w).Encode(map[string]any{"success": true, "result": map[string]any{"sessionID": id, "ttl": 600}})
}

// list is the API; the session may come in many places.
func (o *office) list(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("X-Session") + r.URL.Query().Get("sid") + strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !o.use(id) {
		_, _ = io.WriteString(w, `{"success":false,"error":{"code":119,"message":"session timed out"}}`)
		return
	}
	_, _ = io.WriteString(w, `{"success":true,"data":[1,2,3]}`)
}

func (o *office) formLogin(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.PostFormValue("j_username") != "ann" || r.PostFormValue("j_password") != officePassword {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: o.open(), Path: "/", HttpOnly: true})
	http.SetCookie(w, &http.Cookie{Name: "lang", Value: "de", Path: "/"})
	http.Redirect(w, r, "/elsewhere", http.StatusFound)
}

func (o *office) cookieList(w http.ResponseWriter, r *http.Request) {
	c, err := r.Cookie("JSESSIONID")
	if err != nil || !o.use(c.Value) {
		_, _ = io.WriteString(w, "<html><head><title>Login</title></head><body><form action=\"/j_security_check\">\n</form></body></html>")
		return
	}
	if o.sliding {
		o.mu.Lock()
		delete(o.sessions, c.Value)
		next := c.Value + "x"
		o.sessions[next] = -1
		o.mu.Unlock()
		http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: next, Path: "/"})
	}
	_, _ = io.WriteString(w, `{"data":[]}`)
}

func (o *office) start(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", o.jsonLogin)
	mux.HandleFunc("/list", o.list)
	mux.HandleFunc("POST /j_security_check", o.formLogin)
	mux.HandleFunc("/cookie/list", o.cookieList)
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { t.Error("the redirect of the login was followed") })
	mux.HandleFunc("/redirecting", func(w http.ResponseWriter, r *http.Request) {
		if !o.use(r.Header.Get("X-Session")) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}
	})
	return serve(t, mux).URL
}

func officeConfig(t *testing.T, origin string) Config {
	t.Helper()
	return Config{
		Kind: KindLogin, URL: origin + "/login", Body: `{"user":"ann","password":"{secret:env:PASSWORD}"}`,
		TokenPath: path("result.sessionID"), Header: "X-Session", Expired: condition(t, "error.code == 119"),
	}
}

func cookieConfig(t *testing.T, origin string) Config {
	t.Helper()
	return Config{
		Kind: KindLogin, URL: origin + "/j_security_check", Body: `j_username=ann&j_password={secret:env:PASSWORD}`,
		Expired: condition(t, `@this % "*<title>Login*"`),
	}
}

func officeOptions() Options {
	return Options{Secrets: newVault("PASSWORD", officePassword).secrets()}
}

func TestALoginGivesASessionThatIsKept(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"header":        func(*Config) {},
		"query":         func(c *Config) { c.Header, c.Param = "", "sid" },
		"authorization": func(c *Config) { c.Header = "" },
		"bare":          func(c *Config) { c.Header = "Authorization" },
		"token in a header of the answer": func(c *Config) {
			c.TokenPath, c.TokenHeader = differ.Path{}, "X-Subject-Token"
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice()
			origin := o.start(t)
			config := officeConfig(t, origin)
			change(&config)
			c := newClient(t, config, origin, officeOptions())
			for range 3 {
				if g := c.ok(t, origin+"/list"); !strings.Contains(g.body, `"success":true`) || g.tries != 1 {
					t.Errorf("%+v", g)
				}
			}
			if o.count() != 1 || o.problem != "" {
				t.Errorf("%d logins, %s", o.count(), o.problem)
			}
		})
	}
}

func TestASessionThatEndsInsideA200DuringAWalkIsOpenedAgain(t *testing.T) {
	o := newOffice()
	o.limit = 7
	origin := o.start(t)
	c := newClient(t, officeConfig(t, origin), origin, officeOptions())
	if !c.a.Peeks(nil) {
		t.Fatal("the beginning of answers must be looked at")
	}
	for page := range 40 {
		if g := c.ok(t, origin+"/list?page="+strconv.Itoa(page)); !strings.Contains(g.body, `"success":true`) {
			t.Fatalf("page %d: %s", page, g.body)
		}
	}
	if o.count() != 6 {
		t.Errorf("%d logins", o.count())
	}
}

func TestASessionThatIsAlwaysExpiredIsAnErrorAfterOneLogin(t *testing.T) {
	o := newOffice()
	o.limit = 0
	origin := o.start(t)
	c := newClient(t, officeConfig(t, origin), origin, officeOptions())
	e := c.fails(t, origin+"/list")
	if o.count() != 2 || e.Reason != ReasonRefused || !strings.Contains(e.Message, "session has expired") {
		t.Errorf("%d logins; %v", o.count(), e)
	}
	for range 20 {
		_ = c.fails(t, origin+"/list")
	}
	if o.count() != 2 {
		t.Errorf("a storm of %d logins", o.count())
	}
}

func TestASessionCanLiveInCookies(t *testing.T) {
	o := newOffice()
	origin := o.start(t)
	options := officeOptions()
	c := newClient(t, cookieConfig(t, origin), origin, options)
	for range 3 {
		if g := c.ok(t, origin+"/cookie/list"); g.body != `{"data":[]}` || g.tries != 1 {
			t.Fatalf("%+v", g)
		}
	}
	o.forget() // now the API answers 200 with its login page
	if g := c.ok(t, origin+"/cookie/list"); g.body != `{"data":[]}` || g.tries != 2 || o.count() != 2 {
		t.Errorf("%+v, %d logins", g, o.count())
	}
	if text := options.Secrets.Redact("JSESSIONID=session-2"); text != "JSESSIONID=(secret)" {
		t.Error(text)
	}
}

// Nobody has to say how the session of a system for people ends: its login form comes with 200, or there is a redirect to it.
func TestALoginFormMeansThatTheSessionHasExpired(t *testing.T) {
	for name, over := range map[string]func(http.ResponseWriter, *http.Request){
		"page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, "\n<!-- v7 -->\n<!DOCTYPE html><html><form action=\"/in\"></form></html>")
		},
		"compressed page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, "<html><body>please log in")
			_ = z.Close()
		},
		"redirect": func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, "/Account/LogOn?ReturnUrl=/", http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice()
			mux := http.NewServeMux()
			mux.HandleFunc("POST /login", o.jsonLogin)
			mux.HandleFunc("/list", func(w http.ResponseWriter, q *http.Request) {
				if !o.use(q.Header.Get("X-Session")) {
					over(w, q)
					return
				}
				w.Header().Set("Content-Type", "text/html") // as some call their data
				_, _ = io.WriteString(w, "[1]")
			})
			origin := serve(t, mux).URL
			config := officeConfig(t, origin)
			config.Expired = differ.Condition{}
			c := newClient(t, config, origin, officeOptions())
			c.ok(t, origin+"/list")
			o.forget()
			if g := c.ok(t, origin+"/list"); g.body != "[1]" || g.tries != 2 || o.count() != 2 {
				t.Errorf("%+v, %d logins", g, o.count())
			}
			c.ok(t, origin+"/list")
			if o.count() != 2 {
				t.Errorf("%d logins", o.count())
			}
		})
	}
}

func TestARedirectLeadsToALoginOnlyWhereItsPathEndsInOne(t *testing.T) {
	for location, want := range map[string]bool{
		"/login": true, "https://erp.example.com/users/sign_in?next=%2F": true, "/Account/LogOn": true, "/ui/login.jsp": true, "sign-in/": true,
		"/api/logins/": false, "/signing/requests": false, "/catalog/in": false, "/contacts/?from=login": false, "": false,
	} {
		if is := isLoginForm(Answer{Status: http.StatusFound, Header: http.Header{"Location": {location}}}); is != want {
			t.Errorf("%q: %t", location, is)
		}
	}
}

func TestAPageThatNoSessionHelpsAgainstCausesNoStreamOfLogins(t *testing.T) {
	o, pages := newOffice(), true
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", o.jsonLogin)
	mux.HandleFunc("/list", func(w http.ResponseWriter, _ *http.Request) {
		if pages {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>closed for maintenance")
			return
		}
		_, _ = io.WriteString(w, "[1]")
	})
	origin := serve(t, mux).URL
	config := officeConfig(t, origin)
	config.Expired = differ.Condition{}
	c := newClient(t, config, origin, officeOptions())
	for range 20 {
		_ = c.fails(t, origin+"/list")
	}
	if o.count() != 2 {
		t.Errorf("%d logins", o.count())
	}
	pages = false
	if g := c.ok(t, origin+"/list"); g.body != "[1]" || g.tries != 1 {
		t.Errorf("%+v", g)
	}
}

func TestACookieThatChangesWithEachAnswerIsFollowed(t *testing.T) {
	o := newOffice()
	o.sliding = true
	origin := o.start(t)
	options := officeOptions()
	c := newClient(t, cookieConfig(t, origin), origin, options)
	for range 5 {
		c.ok(t, origin+"/cookie/list")
	}
	if o.count() != 1 {
		t.Errorf("%d logins", o.count())
	}
	if text := options.Secrets.Redact("session-1xxxx"); strings.Contains(text, "session-1") {
		t.Error(text)
	}
}

func TestARedirectCanMeanThatASessionHasExpired(t *testing.T) {
	o := newOffice()
	origin := o.start(t)
	config := officeConfig(t, origin)
	config.ExpiredStatus = []int{302}
	c := newClient(t, config, origin, officeOptions())
	c.ok(t, origin+"/redirecting")
	o.forget()
	if g := c.ok(t, origin+"/redirecting"); g.tries != 2 || o.count() != 2 {
		t.Errorf("%+v, %d logins", g, o.count())
	}
}

func TestASessionIsOpenedAgainBeforeItExpires(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"the answer says when":      func(c *Config) { c.ExpiresPath = path("result.ttl") },
		"the configuration says it": func(c *Config) { c.DefaultTTL = setting.Duration(10 * time.Minute) },
	} {
		o, now := newOffice(), newClock()
		origin := o.start(t)
		config := officeConfig(t, origin)
		change(&config)
		options := officeOptions()
		options.Now = now.now
		c := newClient(t, config, origin, options)
		c.ok(t, origin+"/list")
		now.pass(9*time.Minute + 29*time.Second)
		c.ok(t, origin+"/list")
		if o.count() != 1 {
			t.Errorf("%s: too early", name)
		}
		now.pass(time.Second)
		if g := c.ok(t, origin+"/list"); g.tries != 1 || o.count() != 2 {
			t.Errorf("%s: %+v, %d logins", name, g, o.count())
		}
	}
}

func TestALoginThatDoesNotWorkIsExplainedAndSeldomTried(t *testing.T) {
	for name, test := range map[string]struct {
		config func(t *testing.T, origin string) Config
		change func(*Config)
		says   string
	}{
		"wrong password":    {officeConfig, func(*Config) {}, `there is no token (auth.token_path = "result.sessionID")`},
		"wrong path":        {officeConfig, func(c *Config) { c.TokenPath = path("token") }, "there is no token"},
		"wrong header":      {officeConfig, func(c *Config) { c.TokenPath, c.TokenHeader = differ.Path{}, "X-Nothing" }, "header X-Nothing"},
		"no cookies":        {officeConfig, func(c *Config) { c.TokenPath, c.Header = differ.Path{}, "" }, "sets no cookie"},
		"forbidden":         {cookieConfig, func(*Config) {}, "answered 403: no session"},
		"not found":         {officeConfig, func(c *Config) { c.URL += "/nowhere" }, "answered 404: no token"},
		"nobody is there":   {officeConfig, func(c *Config) { c.URL = "http://127.0.0.1:1/login" }, "cannot be reached"},
		"redirect of token": {officeConfig, func(c *Config) { c.URL = strings.Replace(c.URL, "/login", "/redirecting", 1) }, "answered 302: no token"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice()
			origin := o.start(t)
			config := test.config(t, origin)
			test.change(&config)
			v := newVault("PASSWORD", `wr"ong\pass&word`)
			c := newClient(t, config, origin, Options{Secrets: v.secrets()})
			e := c.fails(t, origin+"/list")
			if e.Reason != ReasonToken || !strings.Contains(e.Message, test.says) || e.Until.IsZero() {
				t.Errorf("%v until %v", e, e.Until)
			}
			quiet(t, e, `wr"ong\pass&word`, `wr\"ong`, "session-1")
			if next := c.fails(t, origin+"/list"); !strings.Contains(next.Message, "asked again in") {
				t.Error(next)
			}
		})
	}
}

func TestAChangedPasswordIsTriedAtOnce(t *testing.T) {
	o := newOffice()
	origin := o.start(t)
	v := newVault("PASSWORD", "wrong-password")
	c := newClient(t, officeConfig(t, origin), origin, Options{Secrets: v.secrets()})
	_ = c.fails(t, origin+"/list")
	v.set("PASSWORD", officePassword)
	c.ok(t, origin+"/list")
}

func TestACookieForAnotherPathIsNoSession(t *testing.T) {
	logins := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, _ *http.Request) {
		logins++
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: "some-session", Path: "/portal"})
	})
	s := serve(t, mux)
	c := newClient(t, Config{Kind: KindLogin, URL: s.URL + "/login"}, s.URL, Options{})
	for range 3 {
		if e := c.fails(t, s.URL+"/api/list"); !strings.Contains(e.Message, "set no cookie for 127.0.0.1") || !strings.Contains(e.Message, "/api/list") {
			t.Error(e)
		}
	}
	if logins != 1 {
		t.Errorf("%d logins", logins)
	}
}

func TestWhatALoginSends(t *testing.T) {
	secrets := newVault("KEY", "k&y", "USER", "ann").secrets()
	var got *http.Request
	var body []byte
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/open" {
			got = r
			body, _ = io.ReadAll(r.Body)
			_, _ = io.WriteString(w, `{"t":"session-token"}`)
		}
	}))
	for name, test := range map[string]struct {
		body, kind string // configured
		want, sent string
	}{
		"json": {`{"u":"{secret:env:USER}"}`, "", `{"u":"ann"}`, "application/json"},
		"form": {`k={secret:env:KEY}`, "", `k=k%26y`, "application/x-www-form-urlencoded"},
		"xml":  {`<u>{secret:env:USER}</u>`, "", `<u>ann</u>`, "text/xml; charset=utf-8"},
		"text": {`{secret:env:KEY}`, "text/plain", `k&y`, "text/plain"},
		"none": {"", "", "", ""},
	} {
		config := Config{
			Kind: KindLogin, URL: s.URL + "/open?k={secret:env:KEY}", Method: "PUT", Body: test.body, TokenPath: path("t"),
			Headers: map[string]string{"X-Key": "{secret:env:KEY}"},
		}
		if test.kind != "" {
			config.Headers["content-type"] = test.kind
		}
		newClient(t, config, s.URL, Options{Secrets: secrets, UserAgent: "deltahook/test"}).ok(t, s.URL)
		h := got.Header
		if got.Method != "PUT" || got.URL.Query().Get("k") != "k&y" || h.Get("X-Key") != "k&y" || h.Get("User-Agent") != "deltahook/test" ||
			h.Get("Content-Type") != test.sent || string(body) != test.want {
			t.Errorf("%s: %s %s, %v, %s", name, got.Method, got.URL, h, body)
		}
	}
}

func TestAnAnswerThatIsLongOrUnknownNeverMeansExpiry(t *testing.T) {
	c := condition(t, `status != "ok"`)
	for name, test := range map[string]struct {
		answer Answer
		want   verdict
	}{
		"says so":         {Answer{Status: 200, Head: []byte(`{"status":"expired"}`)}, refused},
		"does not":        {Answer{Status: 200, Head: []byte(`{"status":"ok"}`)}, accepted},
		"a login page":    {Answer{Status: 200, Head: []byte(`<html>`)}, refused},
		"with a BOM":      {Answer{Status: 200, Head: []byte("\xef\xbb\xbf{\"status\":\"ok\"}")}, accepted},
		"a SOAP fault":    {Answer{Status: 500, Head: []byte(`<fault/>`)}, refused},
		"longer":          {Answer{Status: 200}, accepted},
		"not modified":    {Answer{Status: 304, Head: []byte{}}, accepted},
		"broken":          {Answer{Status: 500}, limited},
		"another failure": {Answer{Status: 404}, accepted},
	} {
		if v := judge(test.answer, nil, c); v != test.want {
			t.Errorf("%s: %d, want %d", name, v, test.want)
		}
	}
}

func TestPeekGivesTheWholeBodyBack(t *testing.T) {
	for _, size := range []int{0, 1, MaxHead, MaxHead + 1, 3 * MaxHead} {
		text := strings.Repeat("x", size)
		head, all := Peek(strings.NewReader(text))
		whole, err := io.ReadAll(all)
		if err != nil || string(whole) != text || (head != nil) != (size <= MaxHead) || head != nil && string(head) != text {
			t.Errorf("%d: %d bytes, head %d, %v", size, len(whole), len(head), err)
		}
	}
	cut := io.MultiReader(strings.NewReader("half"), broken{io.ErrUnexpectedEOF})
	head, all := Peek(cut)
	if whole, err := io.ReadAll(all); head != nil || string(whole) != "half" || err != io.ErrUnexpectedEOF { //nolint:errorlint // bare
		t.Errorf("head %q, body %q, %v", head, whole, err)
	}
}
