package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// stream serves what happens as server-sent events.
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
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		last = v.Get("after")
	}
	if last == "" {
		return q, nil
	}
	var err error
	if q.After, err = strconv.ParseUint(last, 10, 64); err != nil {
		return q, fmt.Errorf("after = %q is not the id of an item", last)
	}
	return q, nil
}

// eventStream writes server-sent events.
type eventStream struct {
	w   http.ResponseWriter
	out *http.ResponseController
}

func (s *eventStream) begin() {
	s.w.Header().Set("Content-Type", streamKind)
	s.w.Header().Set("X-Accel-Buffering", "no")
	_ = s.write(": deltahook\n\n")
}

func (s *eventStream) item(it Item) error {
	switch {
	case it.Kind == KindIdle && it.ID != 0:
		return s.write(fmt.Sprintf("id: %d\n\n", it.ID)) // who comes back goes on from here
	case it.Kind == KindIdle:
		return s.write(": idle\n\n") // keeps proxies from closing, and finds readers that are gone
	}
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
	if _, err := s.w.Write([]byte(text)); err != nil { //nolint:gosec // no browser takes text/event-stream with nosniff for a page
		return err
	}
	return s.out.Flush()
}
