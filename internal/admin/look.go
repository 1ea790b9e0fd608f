package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/deltahook/deltahook/internal/store"
)

func (h *handler) source(r *http.Request) (any, error) {
	return h.View.Source(r.Context(), r.PathValue("source"))
}

func (h *handler) polls(r *http.Request) (any, error) {
	p := params{v: r.URL.Query()}
	limit := p.limit()
	if p.err != nil {
		return nil, requestError{p.err}
	}
	return h.View.Polls(r.Context(), r.PathValue("source"), limit)
}

func (h *handler) activity(r *http.Request) (any, error) {
	const most = 200
	names := r.URL.Query()["source"]
	if len(names) == 0 || len(names) > most {
		return nil, requestError{fmt.Errorf("source is needed at least once and at most %d times", most)}
	}
	return h.View.Activity(r.Context(), names)
}

func (h *handler) records(r *http.Request) (any, error) {
	p := params{v: r.URL.Query()}
	q := store.RecordQuery{Source: r.PathValue("source"), Prefix: p.v.Get("prefix"), After: p.v.Get("after"), Limit: p.limit()}
	if p.err != nil {
		return nil, requestError{p.err}
	}
	return h.View.Records(r.Context(), q)
}

func (h *handler) record(r *http.Request) (any, error) {
	return h.View.Record(r.Context(), r.PathValue("source"), r.URL.Query().Get("key"))
}

func (h *handler) why(r *http.Request) (any, error) {
	return h.View.Why(r.Context(), r.PathValue("source"), r.URL.Query().Get("key"))
}

// stream serves what happens as server-sent events, each with its id, its kind as the event, and the item as data.
func (h *handler) stream(w http.ResponseWriter, r *http.Request) {
	q, err := streamQuery(r)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	out := &eventStream{w: w, out: http.NewResponseController(w)}
	out.begin()
	err = h.View.Stream(r.Context(), q, out.item)
	if slices.ContainsFunc(lastWords(), func(known error) bool { return errors.Is(err, known) }) {
		_ = out.write("event: end\ndata: " + strconv.Quote(err.Error()) + "\n\n") // the reader may be gone
	}
}

// lastWords are the errors that a reader of a stream is told before it ends.
func lastWords() []error { return []error{ErrTooSlow, ErrTooMany, ErrEnded, ErrNotRunning} }

func streamQuery(r *http.Request) (StreamQuery, error) {
	v := r.URL.Query()
	q := StreamQuery{Sources: v["source"], Webhooks: v["webhook"], Types: v["type"], Kinds: v["kind"], Failed: v.Get("failed") == "true"}
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = v.Get("after")
	}
	if after == "" {
		return q, nil
	}
	var err error
	if q.After, err = strconv.ParseUint(after, 10, 64); err != nil {
		return q, fmt.Errorf("after = %q is not the id of an item", after)
	}
	return q, nil
}

// eventStream writes server-sent events.
type eventStream struct {
	w   http.ResponseWriter
	out *http.ResponseController
}

func (s *eventStream) begin() {
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.Header().Set("Cache-Control", "no-store")
	s.w.Header().Set("X-Accel-Buffering", "no")
	_ = s.write(": deltahook\n\n")
}

func (s *eventStream) item(it Item) error {
	data, err := json.Marshal(it)
	if err != nil {
		return err
	}
	return s.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", it.ID, it.Kind, data))
}

// write gives a reader ten seconds to take what there is.
func (s *eventStream) write(text string) error {
	const patience = 10 * time.Second
	if err := s.out.SetWriteDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.out.Flush()
}
