// Package page is the web page of the admin listener: it shows what the admin API has to people, and acts for those who
// signed in. It is made of HTML that works by itself; the one script adds live updates, copy buttons and clocks that tick.
package page

import (
	"bytes"
	"context"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"sync"
	"time"

	template "github.com/DataDog/datadog-agent/pkg/template/html"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
)

//go:embed templates assets
var files embed.FS

// Door says who may look and who may act. What is refused is refused by the page, so that a person gets a page.
type Door interface {
	// MayRead and MayAct tell what the sender of a request may do.
	MayRead(r *http.Request) bool
	MayAct(r *http.Request) bool
	// FormToken is what each form of the sender carries, so that no foreign page can send one. CheckForm looks at it.
	FormToken(r *http.Request) string
	CheckForm(r *http.Request) bool
	// Login begins a session for whoever knows the token; the error is for people. Logout ends it.
	Login(w http.ResponseWriter, r *http.Request, token string) error
	Logout(w http.ResponseWriter, r *http.Request)
}

// Options are what the page is made of. All are required but Now.
type Options struct {
	View admin.View
	Door Door
	Log  *slog.Logger
	// Webhook gives the effective configuration of a webhook, secrets masked; nothing when there is none of the name.
	Webhook func(name string) []admin.Setting
	// Request shows the request that the next attempt at a delivery would be, with nothing in it that authenticates.
	Request func(ctx context.Context, e admin.EventDetail, d admin.Delivery) (string, error)
	Version string
	Now     func() time.Time
}

// page serves everything.
type page struct {
	Options
	mux    *http.ServeMux
	views  func() (map[string]*template.Template, error) // read when somebody looks at a page for the first time
	assets map[string]asset                              // by path
}

type asset struct {
	content []byte
	kind    string
	version string
}

// Handler makes the page. The error says that what is built in is broken.
func Handler(o Options) (http.Handler, error) {
	p := &page{Options: o, mux: http.NewServeMux(), assets: map[string]asset{}}
	if p.Now == nil {
		p.Now = time.Now
	}
	p.views = sync.OnceValues(p.parse)
	if err := p.readAssets(); err != nil {
		return nil, fmt.Errorf("web page: %w", err)
	}
	p.routes()
	return p, nil
}

func (p *page) routes() {
	p.mux.HandleFunc("GET /assets/{name}", p.asset)
	p.mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/assets/icon.svg", http.StatusMovedPermanently)
	})
	p.mux.HandleFunc("GET /login", p.loginPage)
	p.mux.HandleFunc("POST /login", p.login)
	p.mux.HandleFunc("POST /logout", p.logout)
	p.show("GET /{$}", p.overview)
	p.show("GET /sources/{source}", p.sourcePolls)
	p.show("GET /sources/{source}/events", p.sourceEvents)
	p.show("GET /sources/{source}/records", p.sourceRecords)
	p.show("GET /sources/{source}/record", p.record)
	p.show("GET /sources/{source}/config", p.sourceConfig)
	p.show("GET /sources/{source}/backfill", p.backfill)
	p.mux.HandleFunc("POST /sources/{source}/backfill", p.fill)
	p.show("GET /webhooks/{webhook}", p.webhook)
	p.show("GET /events", p.events)
	p.show("GET /events/{event}", p.event)
	p.show("GET /deliveries", p.deliveries)
	p.show("GET /alerts", p.alerts)
	p.show("GET /live", p.live)
	p.show("GET /reload", p.askReload)
	p.mux.HandleFunc("POST /reload", p.reload)
	p.show("GET /act/{verb}", p.confirm)
	p.mux.HandleFunc("POST /act/{verb}", p.act)
	p.show("GET /deliveries/{kind}", p.plan)
	p.mux.HandleFunc("POST /deliveries/{kind}", p.change)
}

// policy lets the browser load what this listener serves and nothing else, and run no code that stands in a page.
const policy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// ServeHTTP adds what every answer has.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	p.mux.ServeHTTP(w, r)
}

// shown is a page to render: the name of its template and what it has.
type shown struct {
	view, title, nav string
	refresh          int // seconds after which a browser without scripts asks again; 0: never
	status           int // 0: 200
	body             any
}

// show guards what may be seen. Who may not gets the login page.
func (p *page) show(pattern string, make func(r *http.Request) (shown, error)) {
	p.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if !p.Door.MayRead(r) {
			lead(w, r, loginURL(r.URL.RequestURI()))
			return
		}
		s, err := make(r)
		if err != nil {
			p.fail(w, r, err)
			return
		}
		p.render(w, r, s)
	})
}

// refused is an error of the sender's making.
type refused struct{ error }

func (p *page) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, title := http.StatusInternalServerError, "That did not work"
	_, wrong := errors.AsType[refused](err)
	_, rejected := errors.AsType[*admin.RejectedError](err)
	switch {
	case wrong:
		status, title = http.StatusBadRequest, "That cannot be done"
	case rejected:
		status, title = http.StatusUnprocessableEntity, "The configuration cannot run; the one from before goes on"
	case errors.Is(err, admin.ErrState):
		status, title = http.StatusConflict, "Not now"
	case errors.Is(err, store.ErrNotFound), errors.Is(err, admin.ErrNoSource), errors.Is(err, admin.ErrNoWebhook), errors.Is(err, admin.ErrNoVerb):
		status, title = http.StatusNotFound, "There is no such thing"
	case errors.Is(err, context.Canceled):
		return // nobody is there any more
	default:
		p.Log.ErrorContext(r.Context(), "web page failed", "path", r.URL.Path, "err", err)
	}
	p.render(w, r, shown{view: "error", title: title, status: status, body: err.Error()})
}

// frame is what the layout needs besides the page itself.
type frame struct {
	Title, Nav, Version, Here string
	Now                       time.Time
	Refresh                   int
	Signed                    bool
	Form                      string // token of the forms
	Flash                     flash
	Style, Script, Icon       string // addresses with the version of their content
	Body                      any
}

func (p *page) render(w http.ResponseWriter, r *http.Request, s shown) {
	f := frame{
		Title: s.title, Nav: s.nav, Version: p.Version, Here: r.URL.RequestURI(), Now: p.Now(), Refresh: s.refresh,
		Signed: p.Door.MayAct(r), Form: p.Door.FormToken(r), Flash: takeFlash(w, r),
		Style: p.address("style.css"), Script: p.address("app.js"), Icon: p.address("icon.svg"), Body: s.body,
	}
	if r.URL.Query().Get("refresh") == "off" {
		f.Refresh = 0
	}
	var out bytes.Buffer
	views, err := p.views()
	if err == nil {
		err = views[s.view].ExecuteTemplate(&out, "layout", f)
	}
	if err != nil {
		p.Log.ErrorContext(r.Context(), "web page not rendered", "path", r.URL.Path, "err", err)
		http.Error(w, "the page cannot be shown: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if s.status != 0 {
		w.WriteHeader(s.status)
	}
	_, _ = w.Write(out.Bytes())
}

// parse reads the templates: each view has the layout and the parts that all share.
func (p *page) parse() (map[string]*template.Template, error) {
	shared, err := template.New("").Funcs(p.funcs()).ParseFS(files, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	views := map[string]*template.Template{}
	for _, name := range names {
		view, err := shared.Clone()
		if err != nil {
			return nil, err
		}
		base := path.Base(name)
		if views[base[:len(base)-len(".html")]], err = view.ParseFS(files, name); err != nil {
			return nil, err
		}
	}
	return views, nil
}

func (p *page) readAssets() error {
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	list, err := files.ReadDir("assets")
	if err != nil {
		return err
	}
	for _, entry := range list {
		content, err := files.ReadFile("assets/" + entry.Name())
		if err != nil {
			return err
		}
		sum := fnv.New64a()
		_, _ = sum.Write(content)
		p.assets[entry.Name()] = asset{content: content, kind: kinds[path.Ext(entry.Name())], version: hex.EncodeToString(sum.Sum(nil))}
	}
	return nil
}

// address names the version of the content, so that a browser keeps it until it changes.
func (p *page) address(name string) string { return "/assets/" + name + "?v=" + p.assets[name].version }

func (p *page) asset(w http.ResponseWriter, r *http.Request) {
	a, ok := p.assets[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(a.content)
}
