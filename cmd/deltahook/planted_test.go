package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
)

// planted keeps the secrets of a test, each of them unique.
type planted struct {
	mu     sync.Mutex
	values map[string]string // by the name of its place
}

// plant makes a secret for a place. It has characters that are written in different ways in URLs, JSON and shells.
func (p *planted) plant(place string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.values[place] == "" {
		p.values[place] = fmt.Sprintf("zq%02d-%s/+ &é", len(p.values), strings.Repeat("7", 6))
		switch {
		case strings.HasPrefix(place, "webhook.secret"):
			key := fmt.Sprintf("zq%02d-%s", len(p.values), strings.Repeat("k", 24))
			p.values[place] = "whsec_" + base64.StdEncoding.EncodeToString([]byte(key))
		case place == "auth.key":
			p.values[place] += strings.Repeat("k", 32)
		}
	}
	return p.values[place]
}

// found lists the places whose secrets stand in a text, in any of the forms in which one may be written.
func (p *planted) found(in []byte) (places []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for place, value := range p.values {
		text, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		core, _, _ := strings.Cut(value, "/")
		for _, form := range []string{
			value, url.QueryEscape(value), url.PathEscape(value), string(text[1 : len(text)-1]), core,
			base64.StdEncoding.EncodeToString([]byte("ann:" + value)), base64.StdEncoding.EncodeToString([]byte(value))[:12], hex.EncodeToString([]byte(core)),
		} {
			if bytes.Contains(in, []byte(form)) && !slices.Contains(places, place) {
				places = append(places, place)
			}
		}
	}
	slices.Sort(places)
	return places
}

// gossip is a server that repeats in its answers all that it was told. What it does depends on its mode.
type gossip struct {
	mu       sync.Mutex
	mode     string
	stranger string // where it redirects to
	secrets  *planted
	tokens   int
	asked    map[string]int // requests by first path segment, since the mode was set
}

func (g *gossip) set(mode string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mode, g.asked = mode, map[string]int{}
}

// everything writes down a request with its secrets, as a careless server does.
func everything(q *http.Request, body []byte) string {
	user, password, _ := q.BasicAuth()
	plain, _ := url.QueryUnescape(q.URL.RawQuery)
	return fmt.Sprintf("%s %s %s %v %s %s %s", q.Method, q.URL, plain, q.Header, user, password, body)
}

func (g *gossip) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked[strings.SplitN(q.URL.Path, "/", 3)[1]]++
	echo := everything(q, body)
	switch g.mode {
	case "500":
		w.Header().Set("X-Echo", strings.Map(printable, echo))
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, echo)
	case "401":
		w.Header().Set("WWW-Authenticate", "Bearer error_description=\""+strings.Map(printable, echo)+"\"")
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant", "error_description": echo})
	case "redirect":
		http.Redirect(w, q, g.stranger+"/moved?"+q.URL.RawQuery+"&echo="+url.QueryEscape(echo), http.StatusTemporaryRedirect)
	case "garbage":
		fmt.Fprint(w, "<html><title>"+echo+"</title>")
	case "error inside":
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"ok": "false", "message": echo})
	case "fault":
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>%s</faultstring></s:Fault></s:Body></s:Envelope>`,
			strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(echo))
	case "cut":
		panic(http.ErrAbortHandler)
	default:
		g.well(w, q)
	}
}

func printable(r rune) rune {
	if r < ' ' || r > '~' || r == '"' {
		return -1
	}
	return r
}

// well answers as it should.
func (g *gossip) well(w http.ResponseWriter, q *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(q.URL.Path, "/token"):
		g.tokens++
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": g.header("access", g.tokens), "refresh_token": g.header("refresh", g.tokens), "session": g.header("session", g.tokens), "expires_in": 3600,
		})
	case strings.HasPrefix(q.URL.Path, "/digest") && q.Header.Get("Authorization") == "":
		w.Header().Set("WWW-Authenticate", `Digest realm="api", nonce="n", qop="auth"`)
		w.WriteHeader(http.StatusUnauthorized)
	default:
		w.Header().Set("Link", "<"+g.stranger+`/next?page=2>; rel="next"`)
		fmt.Fprintf(w, `[{"id":1,"at":%q}]`, time.Now())
	}
}

// header plants a token that may stand in a header.
func (g *gossip) header(kind string, n int) string {
	name := fmt.Sprintf("%s token %d, made at runtime", kind, n)
	g.secrets.mu.Lock()
	defer g.secrets.mu.Unlock()
	if g.secrets.values[name] == "" {
		g.secrets.values[name] = fmt.Sprintf("zr%02d-%s/+x", len(g.secrets.values), strings.Repeat("8", 6))
	}
	return g.secrets.values[name]
}

// plantedConfig gives a configuration with a secret in every place that can have one.
func plantedConfig(p *planted, dir, api, hooks, stranger, secure string, env map[string]string) string {
	var b strings.Builder
	ref := func(place string) string {
		name := "P" + regexp.MustCompile(`\W`).ReplaceAllString(strings.ToUpper(place), "_")
		env[name] = p.plant(place)
		return "env:" + name
	}
	source := func(name, address, more string) {
		fmt.Fprintf(&b, "[source.%s]\nurl = %q\nevery = \"1h\"\nkey = \"id\"\ninitial = \"emit\"\ntimeout = \"3s\"\nallowed_hosts = [%q]\nretry = { attempts = 1 }\n%s\n\n",
			name, address, strings.TrimPrefix(stranger, "http://"), more)
	}
	auth := func(name, table string) { source(name, api+"/"+name, "auth = { "+table+" }") }
	auth("basic", `kind = "basic", username = "ann", password = "`+ref("auth.basic")+`"`)
	auth("bearer", `kind = "bearer", token = "`+ref("auth.bearer")+`"`)
	auth("header", `kind = "header", header = "X-Key", prefix = "Key ", token = "`+ref("auth.header")+`"`)
	auth("query", `kind = "query", param = "api_key", token = "`+ref("auth.query")+`"`)
	auth("digest", `kind = "digest", username = "ann", password = "`+ref("auth.digest")+`"`)
	auth("ntlm", `kind = "ntlm", username = "ann", password = "`+ref("auth.ntlm")+`"`)
	auth("hmac", `kind = "hmac", key = "`+ref("auth.hmac")+`", content = "{timestamp}", headers = { X-Time = "{timestamp}", X-Sign = "{signature}" }`)
	auth("client", `kind = "oauth2", token_url = "`+api+`/client/token", client_id = "me", client_secret = "`+ref("auth.client_secret")+`"`)
	auth("body", `kind = "oauth2", auth_style = "body", token_url = "`+api+`/body/token", client_id = "me", client_secret = "`+ref("auth.client_secret in the body")+`"`)
	auth("password", `kind = "oauth2", grant = "password", token_url = "`+api+`/password/token", client_id = "me", username = "ann", password = "`+ref("auth.password")+`"`)
	auth("refresh", `kind = "oauth2", grant = "refresh_token", token_url = "`+api+`/refresh/token", client_id = "me", refresh_token = "`+ref("auth.refresh_token")+`"`)
	auth("jwt", `kind = "oauth2", grant = "jwt_bearer", algorithm = "HS256", token_url = "`+api+`/jwt/token", issuer = "me", key = "`+ref("auth.key")+`"`)
	auth("login", `kind = "login", url = "`+api+`/login/token?k={secret:`+ref("auth.url")+`}", body = '{"password":"{secret:`+ref("auth.body")+`}"}', headers = { X-Login = "{secret:`+ref("auth.headers")+`}" }, token_path = "session"`)
	source("places", api+"/places/{secret:"+ref("url, path")+"}?token={secret:"+ref("url, query")+"}",
		`method = "POST"`+"\n"+`headers = { X-Secret-Key = "{secret:`+ref("headers")+`}" }`+"\n"+`query = { password = "{secret:`+ref("query")+`}" }`+"\n"+
			`body = '{"token":"{secret:`+ref("body")+`}"}'`+"\n"+`response = { error = "ok == \"false\"", message = "message" }`)
	source("literal", api+"/literal?api_key="+url.QueryEscape(p.plant("literal in url")),
		"headers = { X-Api-Key = "+quoted(p.plant("literal in headers"))+" }\nquery = { access_token = "+quoted(p.plant("literal in query"))+" }\npages = { kind = \"link\" }")
	source("proxied", api+"/proxied", `proxy = "http://ann:{secret:`+ref("proxy")+`}@127.0.0.1:1"`)
	source("refused", "http://127.0.0.1:1/?key={secret:"+ref("a closed port")+"}", "")
	source("secure", secure+"/?key={secret:"+ref("an unknown authority")+"}", "")
	env["PKEYFILE"] = p.plant("tls.key_password")
	if err := os.WriteFile(filepath.Join(dir, "client.pem"), []byte("no certificate\n"), 0o600); err != nil {
		panic(err)
	}
	fmt.Fprintf(&b, "[webhook.app]\nurl = %q\nsecret = [%q, %q]\nheaders = { X-Hook-Token = %q }\nauth = { kind = \"bearer\", token = %q }\nproxy = \"none\"\n",
		hooks+"/app?token="+url.QueryEscape(p.plant("literal in a webhook's url")), ref("webhook.secret"), ref("webhook.secret, old"), p.plant("literal in a webhook's headers"), ref("webhook.auth"))
	fmt.Fprintf(&b, "retry = { schedule = [\"0s\", \"1s\"] }\n\n[webhook.proxied]\nurl = %q\nsecret = %q\nproxy = \"http://ann:{secret:%s}@127.0.0.1:1\"\n", hooks+"/proxied", ref("webhook.secret of another"), ref("webhook.proxy"))
	fmt.Fprintf(&b, "\n[store]\nurl = \"sqlite:%s\"\n\n[admin]\nlisten = \"127.0.0.1:%s\"\ntoken = %q\n\n[log]\nlevel = \"debug\"\nformat = \"json\"\n",
		filepath.Join(dir, "deltahook.db"), env["PORT"], ref("admin.token"))
	return b.String()
}

func quoted(text string) string { return fmt.Sprintf("%q", text) }

// house runs the daemon and looks at everything that it says.
type house struct {
	t       *testing.T
	binary  string
	config  string
	env     []string
	port    string
	token   string
	secrets *planted
	log     *lockedBuffer
	sources []string
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

// clean fails the test when a secret stands in a text.
func (h *house) clean(what string, text []byte) {
	h.t.Helper()
	if places := h.secrets.found(text); len(places) > 0 {
		h.t.Errorf("%s shows the secrets of %q:\n%s", what, places, around(text, h.secrets))
	}
}

// around gives the lines of a text that have a secret in them.
func around(text []byte, p *planted) string {
	var lines []string
	for line := range bytes.Lines(text) {
		if len(p.found(line)) > 0 && len(lines) < 3 {
			lines = append(lines, string(line[:min(len(line), 1500)]))
		}
	}
	return strings.Join(lines, "")
}

func (h *house) command(args ...string) []byte {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.binary, append(args, "--config", h.config)...)
	cmd.Env = h.env
	out, err := cmd.CombinedOutput() // many fail, as they should
	if err != nil && len(out) == 0 {
		h.t.Errorf("%q: %v", args, err)
	}
	h.clean("deltahook "+strings.Join(args, " "), out)
	return out
}

func (h *house) start() (stop func()) {
	h.t.Helper()
	cmd := exec.Command(h.binary, "run", "--config", h.config)
	cmd.Env, cmd.Stderr, cmd.Stdout = h.env, h.log, h.log
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			h.t.Errorf("it did not end well: %v", err)
		}
	}
}

// get asks the API with the token.
func (h *house) get(method, path string) []byte {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, "http://127.0.0.1:"+h.port+path, http.NoBody)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+h.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Error(err)
	}
	h.clean(method+" "+path, fmt.Appendf(text, "%v", resp.Header))
	return text
}

func (h *house) status() (s admin.Status) {
	h.t.Helper()
	if text := h.get(http.MethodGet, "/api/v1/status"); text != nil {
		if err := json.Unmarshal(text, &s); err != nil {
			h.t.Fatalf("%v: %s", err, text)
		}
	}
	return s
}

// pollAll polls every source and waits until each has been polled.
func (h *house) pollAll(mode string) {
	h.t.Helper()
	since := time.Now()
	for _, name := range h.sources {
		h.get(http.MethodPost, "/api/v1/sources/"+name+"/poll")
	}
	for deadline := time.Now().Add(5 * time.Minute); ; wait(h.t.Context(), 100*time.Millisecond) {
		missing := slices.Clone(h.sources)
		for _, s := range h.status().Sources {
			if s.LastPoll.After(since) {
				missing = slices.DeleteFunc(missing, func(name string) bool { return name == s.Name })
			}
		}
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: %q were not polled", mode, missing)
		}
	}
}

// look looks at everything that can be looked at.
func (h *house) look() {
	h.t.Helper()
	for _, path := range []string{
		"/", "/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/config", "/api/v1/events?limit=100", "/api/v1/deliveries?limit=100",
		"/api/v1/replay", "/api/v1/drop", "/api/v1/sources/basic/reset?level=all", "/api/v1/sources/nobody/rekey", "/api/v1/openapi.json",
		"/api/v1/sources", "/api/v1/webhooks", "/api/v1/webhooks/app", "/api/v1/nothing?" + strings.Repeat("x", 10),
	} {
		h.get(http.MethodGet, path)
	}
	for _, path := range []string{
		"/sources/basic", "/sources/basic/events", "/sources/basic/records", "/sources/basic/config", "/webhooks/app", "/events", "/deliveries",
		"/deliveries?state=parked", "/live", "/login", "/act/reset?source=basic&level=all", "/deliveries/replay?state=parked",
	} {
		h.get(http.MethodGet, path)
	}
	for _, s := range h.status().Sources { // excerpts of answers that could not be used are in the polls
		for _, what := range []string{"", "/polls?limit=200", "/records", "/why?key=1", "/record?key=1"} {
			h.get(http.MethodGet, "/api/v1/sources/"+s.Name+what)
		}
	}
	for _, args := range [][]string{
		{"why", "basic", "1"}, {"status"}, {"status", "--json"}, {"events"}, {"events", "--json"}, {"deliveries"}, {"deliveries", "--json"}, {"check"}, {"check", "--plan"}, {"config", "show"},
	} {
		h.command(args...)
	}
	for _, id := range regexp.MustCompile(`evt_\w+`).FindAllString(string(h.command("events", "--limit", "4", "--json")), -1) {
		h.get(http.MethodGet, "/api/v1/events/"+id)
		h.get(http.MethodGet, "/events/"+id)
		h.command("events", "show", id)
		h.command("deliveries", "show", id, "--json")
	}
	h.clean("the log", h.log.Bytes())
}

// Every place that can have a secret has one, and the servers repeat whatever they are told, in every way in which they can fail.
func TestP11NoSecretIsShownAnywhereNorToAnybodyElse(t *testing.T) {
	t.Parallel()
	secrets := &planted{values: map[string]string{}}
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		q.URL.RawQuery = regexp.MustCompile(`&?echo=.*`).ReplaceAllString(q.URL.RawQuery, "") // what the first server itself told
		if places := secrets.found([]byte(everything(q, body))); len(places) > 0 && q.URL.Path != "/moved" {
			t.Errorf("another host is told the secrets of %q: %s", places, everything(q, body))
		} else if places := secrets.found(fmt.Appendf(body, "%v", q.Header)); len(places) > 0 {
			t.Errorf("a host behind a redirect is told the secrets of %q: %v %s", places, q.Header, body)
		}
		fmt.Fprint(w, `[]`)
	}))
	defer stranger.Close()
	api := &gossip{secrets: secrets, stranger: stranger.URL, asked: map[string]int{}}
	upstream := httptest.NewServer(api)
	defer upstream.Close()
	receiver := &gossip{secrets: secrets, stranger: stranger.URL, asked: map[string]int{}}
	hooks := httptest.NewServer(receiver)
	defer hooks.Close()
	secure := httptest.NewUnstartedServer(api)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()

	dir, env := t.TempDir(), map[string]string{"PORT": freePort(t)}
	config := filepath.Join(dir, "deltahook.toml")
	text := plantedConfig(secrets, dir, upstream.URL, hooks.URL, stranger.URL, secure.URL, env)
	writeFile(t, config, text)
	h := &house{t: t, binary: buildBinary(t), config: config, port: env["PORT"], token: secrets.plant("admin.token"), secrets: secrets, log: &lockedBuffer{}}
	for name, value := range env {
		h.env = append(h.env, name+"="+value)
	}
	for _, m := range regexp.MustCompile(`(?m)^\[source\.(\w+)\]`).FindAllStringSubmatch(text, -1) {
		h.sources = append(h.sources, m[1])
	}
	if out := h.command("check"); !bytes.Contains(out, []byte("0 problems")) && bytes.Contains(out, []byte("problem")) {
		t.Fatalf("the configuration of the test is wrong:\n%s", out)
	}
	modes := []string{"well", "500", "401", "redirect", "garbage", "error inside", "fault", "cut"}
	for _, mode := range modes {
		api.set(mode)
		receiver.set(mode)
		stop := h.start() // each time anew: what a process learned must not be what keeps it quiet
		h.pollAll(mode)
		h.look()
		if mode == "500" || mode == "well" {
			for _, name := range h.sources {
				h.command("try", name)
			}
			h.command("check", "--live")
		}
		stop()
		h.command("status")
		h.command("deliveries", "--json")
		if mode == "well" && api.tokens < 5 {
			t.Errorf("%d tokens were made", api.tokens)
		}
	}
	h.clean("the log", h.log.Bytes())
	h.checkStore(filepath.Join(dir, "deltahook.db"))
	h.checkWrongConfigurations(text)
}

// checkStore looks into the files of the store. The refresh token that the server gave last is what they are for; it and those before
// it may be there, and nothing else.
func (h *house) checkStore(path string) {
	h.t.Helper()
	for _, name := range []string{path, path + "-wal"} {
		raw, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for _, place := range h.secrets.found(raw) {
			if !strings.HasPrefix(place, "refresh token") {
				h.t.Errorf("%s has the secret of %s in it", filepath.Base(name), place)
			}
		}
	}
}

// checkWrongConfigurations breaks lines that have secrets in or beside them, and reads the reports.
func (h *house) checkWrongConfigurations(text string) {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), "wrong.toml")
	h.config = path
	for _, change := range [][2]string{
		{"kind = \"basic\"", "kind = \"basics\""},
		{"headers = { X-Api-Key", "header = { X-Api-Key"},
		{"query = { access_token", "query = 5 # { access_token"},
		{"[source.literal]", "[source.literal"},
		{"@127.0.0.1:1", "@127.0.0.1:port"},
		{"env:PADMIN_TOKEN", h.token},
		{"url = \"" + "http", "url = \"htp"},
		{"hooks", "ho oks"},
		{"proxy = \"none\"", "proxy = \"http://ann:" + url.QueryEscape(h.secrets.plant("literal in proxy")) + "@\""},
		{"retry = { attempts = 1 }", "tls = { cert = \"" + filepath.Dir(path) + "/none.pem\", key_password = " + quoted(h.secrets.plant("literal key_password")) + " }"},
	} {
		writeFile(h.t, path, strings.Replace(text, change[0], change[1], 1))
		h.command("check")
		h.command("config", "show")
	}
}
