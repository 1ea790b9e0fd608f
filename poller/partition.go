package poller

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/differ"
)

// Partitions says that the records come in several lists of one shape, the table partitions: one poll reads them all, and
// the partition is the first part of each key.
type Partitions struct {
	Values []string    `toml:"values"`
	Source string      `toml:"source"` // whose known records name the partitions, instead of values
	Path   differ.Path `toml:"path"`   // of the name, in a record of that source
}

func (c *Partitions) used() bool { return len(c.Values) > 0 || c.Source != "" }

// identity is what of the table makes the keys what they are. Values may be added without a question.
func (c *Partitions) identity() string {
	switch {
	case c.Source != "":
		return c.Source + " " + c.Path.String()
	case len(c.Values) > 0:
		return "values"
	}
	return ""
}

// PartitionState is what is remembered of the partitions of a source.
type PartitionState struct {
	// Values are the configured ones whose records are known. Those that another source names are not listed: its records are.
	Values []string `json:"values,omitempty"`
	// Pending are partitions that were never read to their end since the baseline, or since they were configured: what is found
	// there first is no news.
	Pending []string `json:"pending,omitempty"`
	// Followed are partitions of which a poll with a cursor needs no more than what changed: the others are asked for as a whole.
	Followed []string `json:"followed,omitempty"`
}

// partitionSalt separates records of equal bytes in different partitions.
func partitionSalt(name string) uint64 {
	return fingerprint("partition\n"+name) | 1
}

// partitionOf gives the partition of a record, the first part of its key.
func partitionOf(key string) string {
	var parts []string
	if json.Unmarshal([]byte(key), &parts) != nil || len(parts) == 0 {
		return ""
	}
	return parts[0]
}

// partitionOf gives the partition of a record of the source; empty when it has none.
func (p *Poller) partitionOf(key string) string {
	if !p.source.Partitions.used() {
		return ""
	}
	return partitionOf(key)
}

// keyIn appends the text of the key that a record has in a partition, if there are any.
func (p *Poller) keyIn(dst []byte, partition string, rec differ.Record) ([]byte, error) {
	if !p.source.Partitions.used() {
		return p.keyOf(dst, rec)
	}
	var scratch [128]byte
	key, err := p.keyOf(scratch[:0], rec)
	if err != nil {
		return dst, err
	}
	return differ.AppendKeyIn(dst, partition, key, len(p.source.Key) > 1), nil
}

// partitionNames gives the names of the partitions that there are now, beginning with the one that the last poll did not
// come to.
func (p *Poller) partitionNames(ctx context.Context) ([]string, error) {
	conf := &p.source.Partitions
	names := conf.Values
	if conf.Source != "" {
		var err error
		if names, err = p.namesOf(ctx, conf); err != nil {
			return nil, err
		}
	}
	if i := slices.Index(names, p.nextPartition); i > 0 {
		names = slices.Concat(names[i:], names[:i])
	}
	return names, nil
}

// namesOf reads the names from the known records of another source. What it does not know any more was deleted there, with
// all that this takes.
func (p *Poller) namesOf(ctx context.Context, conf *Partitions) ([]string, error) {
	state, err := p.opts.Ledger.Load(ctx, conf.Source)
	if err != nil {
		return nil, p.storeFault("the source of the partitions cannot be read", err)
	}
	if state.Baselined.IsZero() {
		return nil, errNoPartitions
	}
	var hashes []differ.Hash
	err = p.opts.Ledger.Prints(ctx, conf.Source, func(k Known) bool {
		hashes = append(hashes, k.Hash)
		return true
	})
	var names []string
	const batch = 512
	for part := range slices.Chunk(hashes, batch) {
		if err != nil {
			break
		}
		err = p.opts.Ledger.Bodies(ctx, conf.Source, part, func(_ differ.Hash, key string, body []byte) error {
			switch v := conf.Path.Get(body); v.Kind() {
			case differ.String, differ.Number, differ.Bool:
				names = append(names, strings.Clone(v.Text()))
			case differ.Missing, differ.Null:
			case differ.Object, differ.Array:
				return fmt.Errorf("record %s of source %s: partitions.path %q is %s", key, conf.Source, conf.Path, v.Kind())
			}
			return nil
		})
	}
	if err != nil {
		return nil, p.storeFault("the partitions cannot be read", err)
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" }), nil
}

// leftPartitions lists configured partitions whose records are known and that the configuration does not have any more.
func (p *Poller) leftPartitions() []string {
	var left []string
	if known := p.known.state.Partitions; known != nil && len(p.source.Partitions.Values) > 0 {
		for _, name := range known.Values {
			if !slices.Contains(p.source.Partitions.Values, name) {
				left = append(left, name)
			}
		}
	}
	return left
}

// pendingPartitions lists the partitions whose records are no news yet.
func (p *Poller) pendingPartitions() []string {
	known := p.known.state.Partitions
	if known == nil || p.source.Initial == "emit" {
		return nil
	}
	pending := slices.Clone(known.Pending)
	for _, name := range p.source.Partitions.Values {
		if len(known.Values) > 0 && !slices.Contains(known.Values, name) {
			pending = append(pending, name)
		}
	}
	return pending
}

// partitions checks the table partitions.
func (c *check) partitions() {
	conf := &c.s.Partitions
	key := func(name string) []string { return []string{"partitions", name} }
	switch {
	case len(conf.Values) > 0 && conf.Source != "":
		c.add("remove one of them", "partitions.values and partitions.source are both set", key("source")...)
	case conf.Source != "" && conf.Path.IsZero():
		c.add(`write path = "the path of the name in a record of that source"`, "partitions.source needs path", key("source")...)
	case conf.Source == "" && !conf.Path.IsZero():
		c.add(`write source = "the name of a source"`, "partitions.path is a path in the records of partitions.source", key("path")...)
	case conf.Source != "" && conf.Source == c.s.Name:
		c.add("name another source", "a source cannot be its own list of partitions", key("source")...)
	}
	seen := map[string]bool{}
	for _, name := range conf.Values {
		if name == "" || seen[name] {
			c.add("each partition needs a name of its own", fmt.Sprintf("%q is empty or stands there twice", name), key("values")...)
		}
		seen[name] = true
	}
}

// partitionPlaceholder checks that each partition has a request of its own.
func (c *check) partitionPlaceholder(r *requests) {
	switch uses := r.uses("partition"); {
	case uses && !c.s.Partitions.used():
		c.add(`write partitions = { values = ["a", "b"] }`, "{partition} is used, but there are no partitions", "url")
	case !uses && c.s.Partitions.used():
		c.add("put {partition} where the partition is named: in url, query, headers or body", "the request is the same for each partition", "partitions")
	}
}
