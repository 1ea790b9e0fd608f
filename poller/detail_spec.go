package poller

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/deltahook/deltahook/differ"
)

// Detail says how the rest of a record is fetched that a listing only names, the table detail.
type Detail struct {
	URL         string      `toml:"url"`    // of one record; empty: the listing has all
	Record      differ.Path `toml:"record"` // of the record in the answer; zero: the answer is it
	Merge       string      `toml:"merge"`  // "members", "replace", "under"
	Under       string      `toml:"under"`  // the member that takes the detail
	On404       string      `toml:"on_404"` // "skip", "list", "deleted", "fail"
	Concurrency int         `toml:"concurrency"`
	Max         int         `toml:"max"` // details of one poll
}

// merge makes one record of what the listing says and what its detail says. It copies bytes, it does not rewrite them.
func (d *Detail) merge(list, detail []byte) ([]byte, error) {
	switch d.Merge {
	case "replace":
		if kind := (differ.Value{Raw: detail}).Kind(); kind != differ.Object {
			return nil, fmt.Errorf("detail.merge = %q: the detail is %s, not an object", d.Merge, kind)
		}
		return detail, nil
	case "under":
		name, err := json.Marshal(d.Under)
		if err != nil {
			return nil, err
		}
		detail = slices.Concat([]byte{'{'}, name, []byte{':'}, detail, []byte{'}'})
	}
	merged, err := differ.Merge(make([]byte, 0, len(list)+len(detail)), list, detail)
	if err != nil {
		return nil, fmt.Errorf("detail.merge = %q: %w", d.Merge, err)
	}
	return merged, nil
}

// print gives what of the table decides what a record looks like; empty without details.
func (d *Detail) print() string {
	if d.URL == "" {
		return ""
	}
	under := ""
	if d.Merge == "under" {
		under = d.Under
	}
	return encode([]string{d.URL, d.Record.String(), d.Merge, under})
}

// detailSalt separates the fingerprints of records as different tables detail complete them. Without details it is zero.
func detailSalt(print string) uint64 {
	if print == "" {
		return 0
	}
	return fingerprint(print)
}

// onlyEdited says whether a record of the listing is as it was, and only the table detail was changed since: a new detail of
// it is no news.
func (p *Poller) onlyEdited(was, now uint64) bool {
	for _, print := range p.known.state.formerDetails() {
		if print != p.details && (now^detailSalt(p.details)^was^detailSalt(print))&rawMask == 0 {
			return true
		}
	}
	return false
}

// formerDetails gives the tables under which the known records were completed.
func (s *State) formerDetails() []string {
	if len(s.Details) == 0 {
		return []string{""}
	}
	return s.Details
}

// mostTables is how many tables detail are remembered: a record whose detail fails through more edits of them is told when it comes.
const mostTables = 16

// completed gives the tables under which the records are completed after a poll.
func (p *Poller) completed(s *State, all bool) []string {
	switch former := s.formerDetails(); {
	case all && p.details == "":
		return nil
	case all:
		return []string{p.details}
	case slices.Contains(former, p.details):
		return s.Details
	default:
		return append(slices.Clone(former[max(0, len(former)-mostTables+1):]), p.details)
	}
}

// detail checks the table detail.
func (c *check) detail() {
	d, given := c.s.Detail, DefaultSource().Detail
	if d.URL == "" {
		if d != given {
			c.problems.Warn(`write url = "the URL of one record, with {key}"`, "without url nothing is fetched, and the other keys do not count", "detail")
		}
		return
	}
	c.lookup(d.URL, "detail", "url")
	c.choice(d.Merge, []string{"members", "replace", "under"}, "detail", "merge")
	c.choice(d.On404, []string{"skip", "list", "deleted", "fail"}, "detail", "on_404")
	if d.On404 == "deleted" && c.s.Deletes.Detect != "scan" {
		c.add(`set deletes.detect = "scan"`, `on_404 = "deleted" counts a record as missing in the list, and nothing is deleted for that`, "detail", "on_404")
	}
	if d.Under != given.Under && d.Merge != "under" {
		c.add(`set merge = "under"`, `detail.under counts only with detail.merge = "under"`, "detail", "under")
	}
	if d.Under == "" {
		c.add(`write under = "detail"`, "detail.under is empty", "detail", "under")
	}
	const most = 64
	if d.Concurrency < 1 || d.Concurrency > most {
		c.add("write a number from 1 to 64", fmt.Sprintf("%d details at the same time is not possible", d.Concurrency), "detail", "concurrency")
	}
	c.atLeast(d.Max, 1, "detail", "max")
	if c.s.Single {
		c.add("remove detail, or set url to the address of the detail", "one single object is not a list that names records", "detail", "url")
	}
}
