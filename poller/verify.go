package poller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/outbound"
)

// Bounds of one poll's questions for single records.
const (
	sideQuestions = 4         // at the same time
	sideBatch     = 64        // whose bodies are held at once
	mostVerified  = 1000      // records that are asked for before they are taken for deleted; the others wait for the next poll
	patienceInRow = 5         // questions without a usable answer in a row mean that more of them are of no use
	sideShare     = 3.0 / 4.0 // of the deadline; behind it what was found must still be written
)

// trace is what the question for one record brought to light.
type trace uint8

const (
	unclear trace = iota // nothing
	gone
	present
)

// suspect is a known record that the listing lacked.
type suspect struct {
	hash  differ.Hash
	key   string
	body  []byte
	trace trace
	why   error // it is unclear
}

// verification asks for the records that a complete listing lacked, by their own address.
type verification struct {
	w       *walk
	gone    []differ.Hash
	present []suspect // the first ones
	found   int       // that are present
	unclear int
	why     error // the first reason; its record is named in it
	row     int   // without a usable answer
}

// verify keeps of what is to be deleted only what its own address says is gone. Records that are still there are not missed
// any more; those about which nothing could be learned stay missing, and are asked for by the next poll.
func (w *walk) verify(hashes []differ.Hash) ([]differ.Hash, error) {
	v := &verification{w: w}
	ask := hashes
	if most := mostVerified; len(ask) > most && !w.p.known.state.Held.decided() {
		ask = ask[:most]
	}
	trusted, err := v.trust(ask)
	if err != nil {
		return nil, err
	}
	done := 0
	for trusted && done < len(ask) && v.row < patienceInRow && w.hasTime() {
		part := ask[done:min(done+sideBatch, len(ask))]
		done += len(part)
		if err := v.batch(part); err != nil {
			return nil, err
		}
	}
	for _, h := range hashes[done:] {
		v.leave(h)
	}
	v.report()
	return v.gone, nil
}

// hasTime says whether a poll may still ask for single records.
func (w *walk) hasTime() bool {
	deadline := w.p.source.Deadline.Std()
	return deadline <= 0 || w.p.opts.Now().Sub(w.result.At) < time.Duration(float64(deadline)*sideShare)
}

// trust asks for a record that the listing shows: an address that says that it is gone, too, proves nothing of the others.
func (v *verification) trust(ask []differ.Hash) (bool, error) {
	s := v.w.scan
	if len(ask) == 0 || s.witness == (differ.Hash{}) {
		return true, nil
	}
	list, err := v.load([]differ.Hash{s.witness})
	if err != nil || len(list) == 0 {
		return false, err
	}
	if err := v.ask(list); err != nil {
		return false, err
	}
	if list[0].trace == gone {
		v.why = fmt.Errorf("deletes.verify leads nowhere: it denies record %s, which the listing shows", list[0].key)
		return false, nil
	}
	return true, nil
}

func (v *verification) batch(hashes []differ.Hash) error {
	list, err := v.load(hashes)
	if err != nil {
		return err
	}
	if err := v.ask(list); err != nil {
		return err
	}
	for i := range list {
		v.take(&list[i])
	}
	return nil
}

func (v *verification) load(hashes []differ.Hash) ([]suspect, error) {
	p := v.w.p
	list := make([]suspect, 0, len(hashes))
	err := p.opts.Ledger.Bodies(v.w.scan.ctx, p.source.Name, hashes, func(h differ.Hash, key string, body []byte) error {
		list = append(list, suspect{hash: h, key: key, body: append([]byte(nil), body...)})
		return nil
	})
	if err != nil {
		return nil, p.storeFault("missing records cannot be read", err)
	}
	return list, nil
}

// ask asks for all of a list. Its error is that of the whole poll.
func (v *verification) ask(list []suspect) error {
	w := v.w
	attempts := make([]int, len(list))
	sideBySide(len(list), sideQuestions, func(i int) {
		list[i].trace, attempts[i], list[i].why = w.p.traceOf(w.scan.ctx, w.values, &list[i])
	})
	for _, n := range attempts {
		w.result.Requests += n
	}
	return context.Cause(w.scan.ctx)
}

// traceOf asks for one record.
func (p *Poller) traceOf(ctx context.Context, v values, s *suspect) (t trace, attempts int, why error) {
	v.key, v.record = s.key, s.body
	if p.source.Partitions.used() {
		v.partition = partitionOf(s.key)
	}
	resp, moved, err := p.ask(ctx, p.verifier, v)
	if err != nil {
		return unclear, attemptsOf(err), err
	}
	defer resp.Body.Close()
	switch {
	case isGone(resp.Status) && moved:
		return unclear, resp.Attempts, fmt.Errorf("it redirects to %s, which answers %d", outbound.Display(resp.URL), resp.Status)
	case isGone(resp.Status):
		return gone, resp.Attempts, nil
	case resp.Status < 200 || resp.Status > 299:
		return unclear, resp.Attempts, p.refusal(resp)
	case p.source.Deletes.VerifyGone.IsZero():
		return present, resp.Attempts, nil
	}
	record, err := p.readSingle(resp, resp.Body, differ.Self())
	switch {
	case err != nil:
		return unclear, resp.Attempts, err
	case p.source.Deletes.VerifyGone.Match(record):
		return gone, resp.Attempts, nil
	}
	return present, resp.Attempts, nil
}

func attemptsOf(err error) int {
	if broken, ok := errors.AsType[*outbound.Error](err); ok {
		return broken.Attempts
	}
	if wait, ok := errors.AsType[*outbound.DeferredError](err); ok {
		return wait.Attempts
	}
	return 0
}

func (v *verification) take(s *suspect) {
	switch s.trace {
	case gone:
		v.gone, v.row = append(v.gone, s.hash), 0
	case present:
		v.row = 0
		const named = 3
		if v.found++; len(v.present) < named {
			v.present = append(v.present, *s)
		}
		v.w.scan.returns(s.hash)
	case unclear:
		if v.row++; v.why == nil {
			v.why = fmt.Errorf("record %s: %w", s.key, s.why)
		}
		v.leave(s.hash)
	}
}

// leave keeps a record missing, one scan short of being gone.
func (v *verification) leave(h differ.Hash) {
	v.unclear++
	v.w.scan.lingers(h)
}

// report says in the result of the poll what could not be deleted and why.
func (v *verification) report() {
	r, secrets := v.w.result, v.w.p.opts.Secrets
	var texts []string
	if v.found > 0 {
		var keys []string
		for _, s := range v.present {
			keys = append(keys, s.key)
		}
		text := "the listing lacks what is still there by its own address: " + clip(strings.Join(keys, ", "))
		if more := v.found - len(keys); more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		texts = append(texts, text)
		r.Hint = "the listing does not show all records: check url, records and pages"
	}
	if v.unclear > 0 {
		v.w.scan.unclear, v.w.scan.retry, v.w.scan.unfinished = v.unclear, true, v.w.p.known.state.Held.decided()
		text := fmt.Sprintf("not verified, so not deleted: %d", v.unclear)
		if v.why != nil {
			text += " (" + secrets.Redact(v.why.Error()) + ")"
		}
		texts = append(texts, text)
	}
	r.Message = strings.Join(texts, "; ")
}

// returns notes that a record is not missing, although the listing lacks it.
func (s *scan) returns(h differ.Hash) {
	if print, missing, _ := s.index.Get(h); missing > 0 {
		s.recounted = append(s.recounted, Known{Hash: h, Print: print})
	}
}

// lingers notes that a record is missing, but will not be deleted by this poll: the next scan that lacks it will ask again.
func (s *scan) lingers(h differ.Hash) {
	enough := s.p.source.Deletes.Confirm - 1
	if print, missing, _ := s.index.Get(h); missing < enough {
		s.recounted = append(s.recounted, Known{Hash: h, Print: print, Missing: enough})
	}
}

// verification checks the keys deletes.verify and deletes.verify_gone.
func (c *check) verification() {
	d := c.s.Deletes
	if d.Verify != "" && d.Detect != "scan" {
		c.add(`set detect = "scan"`, "deletes.verify asks for records that a listing lacked, which counts only with deletes.detect = \"scan\"", "deletes", "verify")
	}
	if d.Verify == "" && !d.VerifyGone.IsZero() {
		c.add(`write verify = "the URL of one record, with {key}"`, "deletes.verify_gone is a condition on the answer of deletes.verify", "deletes", "verify_gone")
	}
	c.lookup(d.Verify, "deletes", "verify")
}
