package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"

	"github.com/deltahook/deltahook/internal/store"
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
}

// Handler serves the admin API.
func Handler(o Options) http.Handler {
	h := &handler{Options: o}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", h.health)
	mux.HandleFunc("GET /readyz", h.ready)
	if o.Metrics != nil {
		mux.Handle("GET /metrics", h.seen(o.Metrics))
	}
	mux.Handle("GET /api/v1/status", h.read(h.status))
	mux.Handle("GET /api/v1/config", h.read(func(*http.Request) (any, error) { return h.Settings(), nil }))
	mux.Handle("GET /api/v1/activity", h.read(h.activity))
	mux.Handle("GET /api/v1/sources/{source}", h.read(h.source))
	mux.Handle("GET /api/v1/sources/{source}/polls", h.read(h.polls))
	mux.Handle("GET /api/v1/sources/{source}/records", h.read(h.records))
	mux.Handle("GET /api/v1/sources/{source}/record", h.read(h.record))
	mux.Handle("GET /api/v1/sources/{source}/why", h.read(h.why))
	mux.Handle("GET /api/v1/stream", h.seen(http.HandlerFunc(h.stream)))
	mux.Handle("GET /api/v1/events", h.read(h.events))
	mux.Handle("GET /api/v1/events/{id}", h.read(h.event))
	mux.Handle("GET /api/v1/deliveries", h.read(h.deliveries))
	h.backfills(mux)
	mux.Handle("POST /api/v1/sources/{source}/{verb}", h.act(h.action))
	for _, verb := range []Verb{Rekey, Reset} {
		mux.Handle("GET /api/v1/sources/{source}/"+string(verb), h.read(h.edit(verb, true)))
		mux.Handle("POST /api/v1/sources/{source}/"+string(verb), h.act(h.edit(verb, false)))
	}
	mux.Handle("POST /api/v1/webhooks/{webhook}/{verb}", h.act(h.action))
	for _, kind := range ChangeKinds() {
		mux.Handle("GET /api/v1/"+string(kind), h.read(h.change(kind, true)))
		mux.Handle("POST /api/v1/"+string(kind), h.act(h.change(kind, false)))
	}
	return mux
}

type handler struct{ Options }

// answer does the work of a request and gives what is to be written as JSON.
type answer func(r *http.Request) (any, error)

// read guards what may be seen: openly on loopback, by token elsewhere.
func (h *handler) read(do answer) http.Handler {
	return h.seen(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.write(w, r, do) }))
}

func (h *handler) seen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.Door.mayRead(r); err != nil {
			h.refuse(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// act guards what changes something: by token, or by a session and the token of its forms.
func (h *handler) act(do answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.Door.mayAct(r); err != nil {
			h.refuse(w, err)
			return
		}
		h.write(w, r, do)
	})
}

// refuse says why a request is not answered; the error is one of a Door.
func (h *handler) refuse(w http.ResponseWriter, err error) {
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

func (h *handler) write(w http.ResponseWriter, r *http.Request, do answer) {
	v, err := do(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		h.Log.DebugContext(r.Context(), "admin answer not written", "path", r.URL.Path, "err", err)
	}
}

// requestError is an error of the caller's making.
type requestError struct{ error }

func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if _, ok := errors.AsType[requestError](err); ok {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	for status, kinds := range map[int][]error{
		http.StatusNotFound: {store.ErrNotFound, ErrNoSource, ErrNoWebhook, ErrNoVerb},
		http.StatusConflict: {ErrState},
	} {
		if slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) }) {
			problem(w, status, err.Error())
			return
		}
	}
	h.Log.ErrorContext(r.Context(), "admin request failed", "path", r.URL.Path, "err", err)
	problem(w, http.StatusInternalServerError, err.Error())
}

// problem writes an error as RFC 9457 problem details.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(Problem{Title: http.StatusText(status), Status: status, Detail: detail})
}

// Problem is the body of an error answer (RFC 9457).
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func (h *handler) health(w http.ResponseWriter, r *http.Request) {
	if err := h.Health(r.Context()); err != nil {
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

func (h *handler) ready(w http.ResponseWriter, r *http.Request) {
	if err := h.Ready(r.Context()); err != nil {
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}

func (h *handler) status(r *http.Request) (any, error) { return h.View.Status(r.Context()) }

func (h *handler) events(r *http.Request) (any, error) {
	q, err := eventQuery(r.URL.Query())
	if err != nil {
		return nil, requestError{err}
	}
	return h.View.Events(r.Context(), q)
}

func (h *handler) event(r *http.Request) (any, error) {
	return h.View.Event(r.Context(), r.PathValue("id"))
}

func (h *handler) deliveries(r *http.Request) (any, error) {
	q, err := deliveryQuery(r.URL.Query())
	if err != nil {
		return nil, requestError{err}
	}
	return h.View.Deliveries(r.Context(), q)
}

func (h *handler) action(r *http.Request) (any, error) {
	a := Action{Verb: Verb(r.PathValue("verb")), Source: r.PathValue("source"), Webhook: r.PathValue("webhook")}
	return map[string]Verb{"done": a.Verb}, h.View.Act(r.Context(), a)
}

func (h *handler) edit(verb Verb, plan bool) answer {
	return func(r *http.Request) (any, error) {
		return h.View.Edit(r.Context(), Edit{Verb: verb, Source: r.PathValue("source"), Level: r.URL.Query().Get("level")}, plan)
	}
}

// change replays or drops deliveries, or says what that would do.
func (h *handler) change(kind ChangeKind, plan bool) answer {
	return func(r *http.Request) (any, error) {
		c, err := changeOf(kind, r.URL.Query())
		if err != nil {
			return nil, requestError{err}
		}
		return h.View.Change(r.Context(), c, plan)
	}
}
