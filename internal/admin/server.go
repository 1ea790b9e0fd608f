package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
)

// Errors of actions.
var (
	ErrNoSource  = errors.New("no such source")
	ErrNoWebhook = errors.New("no such webhook")
	ErrNoVerb    = errors.New("there is no such action")
	// ErrState says that the action does not fit the state of what it is for.
	ErrState = errors.New("not now")
)

// Options are what a Handler needs.
type Options struct {
	View View
	// Door says who may look and who may act.
	Door *Door
	// Ready says why the daemon is not ready to work; nil means ready. It must not ask polled APIs or receivers.
	Ready func(ctx context.Context) error
	// Health says why the daemon makes no progress; nil means that it does.
	Health func(ctx context.Context) error
	Log    *slog.Logger
	// Metrics serves /metrics, guarded like everything that is read; nil: there are none.
	Metrics http.Handler
	// Settings gives the effective configuration by section and key, secrets masked.
	Settings func() map[string]map[string]string
	// Prints gives the prints of what Settings masks, sealed with the token, see config.Prints.
	Prints func() map[string]map[string]string
}

// Handler serves the admin API.
func Handler(o Options) http.Handler {
	h := &handler{Options: o, mux: http.NewServeMux()}
	for _, one := range routes() {
		h.mux.Handle(one.method+" "+one.path, h.route(one))
	}
	h.mux.HandleFunc(anything, h.nowhere)
	return guarded(h.mux)
}

// anything is the pattern of what has no route.
const anything = "/"

type handler struct {
	Options
	mux *http.ServeMux
}

// guarded adds what every answer has: it is data, for whoever asked, and no page.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// route serves one route: who may, what may be asked for, then the work.
func (h *handler) route(one route) http.Handler {
	kind := one.kind
	if kind == "" {
		kind = jsonKind
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.admits(one.access, r); err != nil {
			refuse(w, err)
			return
		}
		if status, err := one.understands(r, kind); err != nil {
			problem(w, status, err.Error())
			return
		}
		if one.serve != nil {
			one.serve(h, w, r)
			return
		}
		h.write(w, r, one.do)
	})
}

// admits says why a request may not have what it asks for.
func (h *handler) admits(who access, r *http.Request) error {
	switch who {
	case open:
		return nil
	case looks:
		return h.Door.mayRead(r)
	case acts:
		return h.Door.mayAct(r)
	}
	return ErrNoToken
}

// refuse says why a request is not answered; the error is one of a Door.
func refuse(w http.ResponseWriter, err error) {
	if limit, ok := errors.AsType[*LimitError](err); ok {
		w.Header().Set("Retry-After", strconv.Itoa(int(limit.Wait.Seconds())+1))
		problem(w, http.StatusTooManyRequests, err.Error())
		return
	}
	if errors.Is(err, ErrForeign) {
		problem(w, http.StatusForbidden, err.Error())
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="deltahook"`)
	problem(w, http.StatusUnauthorized, "this needs the admin token: send it as \"Authorization: Bearer TOKEN\"")
}

func (h *handler) write(w http.ResponseWriter, r *http.Request, do func(*handler, *http.Request) (any, error)) {
	v, err := do(h, r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if page, ok := v.(listed); ok {
		page.link(w, r)
		v = page.list
	}
	w.Header().Set("Content-Type", jsonKind)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		h.Log.DebugContext(r.Context(), "admin answer not written", "path", r.URL.Path, "err", err)
	}
}

func (h *handler) health(w http.ResponseWriter, r *http.Request) {
	report(w, h.Health(r.Context()), "ok")
}

func (h *handler) metrics(w http.ResponseWriter, r *http.Request) {
	if h.Metrics == nil {
		problem(w, http.StatusNotFound, "nothing is counted")
		return
	}
	h.Metrics.ServeHTTP(w, r)
}

func (h *handler) ready(w http.ResponseWriter, r *http.Request) {
	report(w, h.Ready(r.Context()), "ready")
}

func report(w http.ResponseWriter, err error, good string) {
	if err != nil {
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	w.Header().Set("Content-Type", textKind+"; charset=utf-8")
	_, _ = w.Write([]byte(good + "\n"))
}
