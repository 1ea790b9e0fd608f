package poller

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/deltahook/deltahook/differ"
)

// memory is what is known of a source. It is kept between polls, since nobody else changes the source while its shard is
// held, and dropped when the store may know something else.
type memory struct {
	state      State
	index      *differ.Index
	missing    int         // records that were missing in the last complete scan
	validators Validators  // newer than those of state when an unchanged poll brought them
	ahead      mark        // where the next window begins although an earlier one must be read again; none: at the watermark
	dirty      bool        // the index has changes that are not committed
	cursor     cursorState // newer than that of state when an unchanged poll moved the watermark
	formers    []*former   // from before edits since which not all records were read: those of state, and one of which it has no note yet
	// failing are records whose details failed in polls that left others unasked: those come first.
	failing map[differ.Hash]bool
	joining map[differ.Hash]uint64 // Edits.Joining; 0: nobody knows what the entry was
}

// load reads the state of the source unless it is known.
func (p *Poller) load(ctx context.Context) error {
	if p.known != nil {
		return nil
	}
	state, err := p.opts.Ledger.Load(ctx, p.source.Name)
	if err != nil {
		return p.storeFault("the state of the source cannot be read", err)
	}
	if p.unsure && state.Version != p.lost {
		// The commit whose outcome was unknown did happen: its events are only in the store.
		p.opts.Outlet.Committed(p.source.Name, nil, false)
	}
	p.unsure = false
	if state.departed() {
		state.Untold, state.Began = true, state.Sequence
	}
	p.known = &memory{state: state, validators: state.Validators, cursor: p.cursor.decode(state.Cursor)}
	return nil
}

// forget drops what is known, so that the next poll reads it from the store.
func (p *Poller) forget() { p.known = nil }

// loadIndex reads the fingerprints of the known records unless they are in memory.
func (p *Poller) loadIndex(ctx context.Context) error {
	m := p.known
	if m.index != nil {
		return nil
	}
	m.index, m.missing, m.dirty = differ.NewIndex(int(m.state.Records)), 0, false
	err := p.opts.Ledger.Prints(ctx, p.source.Name, func(k Known) bool {
		m.index.Put(k.Hash, k.Print, k.Missing)
		if k.Missing > 0 {
			m.missing++
		}
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		m.index = nil
		return p.storeFault("the known records cannot be read", err)
	}
	return p.reshape(ctx)
}

// reshape computes the fingerprints of the stored records anew when the configuration compares differently than when they
// were stored, so that the edit itself is no change of any record.
func (p *Poller) reshape(ctx context.Context) error {
	m := p.known
	if m.state.Compare == "" || m.state.Compare == p.compare {
		p.recall(m)
		return nil
	}
	p.remind(m)
	edit := m.edit()
	m.validators = Validators{}
	var hashes []differ.Hash
	m.index.All(func(h differ.Hash, _ differ.Print, _ int) bool {
		hashes = append(hashes, h)
		return true
	})
	completed := len(m.state.Details) > 0
	const batch = 512
	for start := 0; start < len(hashes); start += batch {
		part := hashes[start:min(start+batch, len(hashes))]
		err := p.opts.Ledger.Bodies(ctx, p.source.Name, part, func(h differ.Hash, key string, body []byte) error {
			print, missing, _ := m.index.Get(h)
			if !completed && print.Raw&rawMask != 0 { // else the bytes of the listing are not in the store, or are to be looked at in any case
				raw := p.hasher.Raw(body)
				if partition := p.partitionOf(key); partition != "" {
					raw ^= partitionSalt(partition)
				}
				print.Raw = print.Raw&^rawMask | raw&rawMask
			}
			print.Canon = p.hasher.Canon(p.shape, body)
			m.index.Put(h, print, missing)
			if p.source.Partitions.Source != "" {
				edit.partitions[partitionOf(key)] = true
			}
			return nil
		})
		if err != nil {
			m.index = nil
			return p.storeFault("the stored records cannot be compared anew", err)
		}
	}
	return nil
}

func (p *Poller) storeFault(what string, err error) error {
	return &fault{message: fmt.Sprintf("%s: %s", what, err), hint: "nothing was changed; see the log of the store", cause: err}
}

// identity is the part of a configuration that says which records there are. It is stored as text, so that a difference
// can be told.
type identity struct {
	Origin  string   `json:"origin"`
	Records string   `json:"records"`
	Key     []string `json:"key,omitempty"`
	Single  bool     `json:"single,omitempty"`
	// Partitions is what makes the first part of each key; empty when there are none.
	Partitions string `json:"partitions,omitempty"`
}

// comparison is the part of a configuration that says what of a record counts.
type comparison struct {
	Fields    []string `json:"fields,omitempty"`
	Ignore    []string `json:"ignore,omitempty"`
	Unordered []string `json:"unordered,omitempty"`
	Where     []string `json:"where,omitempty"`
	Flag      string   `json:"flag,omitempty"`
}

func identityOf(s *Source, origin string) string {
	return encode(identity{Origin: origin, Records: s.Records.String(), Key: texts(s.Key), Single: s.Single, Partitions: s.Partitions.identity()})
}

func comparisonOf(s *Source) string {
	c := comparison{Fields: texts(s.Fields), Ignore: texts(s.Ignore), Unordered: texts(s.Unordered), Where: texts(s.Where)}
	if s.Deletes.Detect == "flag" {
		c.Flag = s.Deletes.Flag.String()
	}
	return encode(c)
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil { // strings and booleans only
		panic(err)
	}
	return string(text)
}

func texts[T fmt.Stringer](values []T) []string {
	out := make([]string, len(values))
	for i, p := range values {
		out[i] = p.String()
	}
	return out
}

// identityChange says for people what differs between the stored identity and the configured one.
func identityChange(stored, configured string) string {
	var was, is identity
	if json.Unmarshal([]byte(stored), &was) != nil || json.Unmarshal([]byte(configured), &is) != nil {
		return "what identifies the records was changed"
	}
	switch {
	case was.Origin != is.Origin:
		return fmt.Sprintf("the origin of url was changed from %s to %s", was.Origin, is.Origin)
	case fmt.Sprint(was.Key) != fmt.Sprint(is.Key):
		return fmt.Sprintf("key was changed from %q to %q", was.Key, is.Key)
	case was.Partitions != is.Partitions:
		return "partitions was changed, and with it the first part of each key"
	case was.Records != is.Records:
		return fmt.Sprintf("records was changed from %q to %q", was.Records, is.Records)
	}
	return fmt.Sprintf("single was changed from %t to %t", was.Single, is.Single)
}
