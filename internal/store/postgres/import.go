package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/stored"
)

// importRows is how many rows are sent at a time.
const importRows = 1000

// importer writes the rows of another store, of one table at a time.
type importer struct {
	s      *Store
	tx     pgx.Tx
	names  map[string]int32
	books  map[string]int64
	table  string
	fields []string
	rows   [][]any
	copies [][]any // bodies of the deliveries among them
}

func kindOf(change int) differ.Kind { return differ.Kind(change) } //nolint:gosec // as it was stored

// seedBytes is where a seed is read to.
type seedBytes differ.Seed

// ScanBytes implements pgtype.BytesScanner.
func (b *seedBytes) ScanBytes(v []byte) error {
	if len(v) != len(b) {
		return errors.New("the seed is damaged")
	}
	copy(b[:], v)
	return nil
}

func (in *importer) add(ctx context.Context, row store.Row) error {
	switch r := row.(type) {
	case store.Origin:
		return in.origin(ctx, &r)
	case store.PortSource:
		return in.source(ctx, &r)
	case store.PortPoll:
		return in.named(ctx, r.Source, "dh_poll", "source", "slot number body", r.Number%stored.KeptPolls, r.Number, r.Body)
	case store.PortRecord:
		return in.put(ctx, "dh_record", "book hash prints missing key body",
			in.books[r.Source], r.Hash[:], stored.AppendPrint(nil, r.Print), r.Missing, notNil(r.Key), in.s.bodies.Pack(nil, r.Body))
	case store.PortSecret:
		return in.named(ctx, r.Source, "dh_vault", "source", "name value", r.Name, notNil(r.Value))
	case store.PortEvent:
		size := eventOverhead + len(r.Body)
		return in.named(ctx, r.Source, "dh_event", "source", "seq id sequence type change key at bytes body",
			r.Seq, r.ID, r.Sequence, clean(r.Type), int16(r.Change), notNil(r.Key), at(r.At), size, notNil(r.Body))
	case store.PortDelivery:
		return in.delivery(ctx, &r)
	case store.PortAttempt:
		return in.named(ctx, r.Webhook, "dh_attempt", "webhook", "seq ordinal number at took status reason error excerpt cause request",
			r.Seq, r.Ordinal, r.Number, at(r.At), r.Took.Microseconds(), r.Status, clean(r.Reason), clean(r.Error), clean(r.Excerpt), clean(r.Trigger), clean(r.Request))
	case store.PortGate:
		return in.named(ctx, r.Webhook, "dh_gate", "webhook", "state", r.State)
	}
	return fmt.Errorf("an unknown kind of row: %T", row)
}

func (in *importer) origin(ctx context.Context, o *store.Origin) error {
	if _, err := in.tx.Exec(ctx, `UPDATE dh_meta SET seed = $1`, o.Seed[:]); err != nil {
		return err
	}
	if err := cover(ctx, in.tx, max(o.LastSeq>>dayBits, dayOf(in.s.now()))); err != nil {
		return err
	}
	_, err := in.tx.Exec(ctx, `SELECT setval('dh_seq', greatest($1::bigint, 1), $1 > 0)`, o.LastSeq)
	return err
}

func (in *importer) source(ctx context.Context, r *store.PortSource) error {
	var book *int64
	if r.Purged.IsZero() {
		book = new(int64)
		if err := in.tx.QueryRow(ctx, `SELECT nextval('dh_book')`).Scan(book); err != nil {
			return err
		}
		in.books[r.Name] = *book
	}
	text := ""
	if r.Purged.IsZero() {
		row, err := stored.EncodeState(r.State)
		if err != nil {
			return err
		}
		text = row.Text
	}
	return in.named(ctx, r.Name, "dh_source", "id", "shard version sequence records book polls state etag last_modified cursor committed_at removed_at purged_at",
		store.ShardOf(r.Name), r.Version, r.Sequence, r.Records, book, r.Polls, text, r.ETag, r.Modified, r.Cursor, at(r.Committed), at(r.Removed), at(r.Purged))
}

func (in *importer) delivery(ctx context.Context, r *store.PortDelivery) error {
	var into *int64
	if r.MergedInto != 0 {
		into = &r.MergedInto
	}
	if r.Body != nil {
		webhook, err := in.name(ctx, r.Webhook)
		if err != nil {
			return err
		}
		in.copies = append(in.copies, []any{r.Seq, webhook, r.Body})
	}
	state := stateOf(r.State)
	return in.named(ctx, r.Webhook, "dh_delivery", "webhook",
		"seq shard state parked attempts tries status replay loose merged_into since next_at settled_at tried_at took why cause batch",
		r.Seq, store.ShardOf(r.Source), state, state == stateParked, r.Attempts, r.Tries, r.Status, r.Replay, r.Loose, into, at(r.Since), at(r.NextAt), at(r.SettledAt),
		at(r.TriedAt), r.Took.Microseconds(), clean(r.Reason), clean(r.Cause), r.Batch)
}

// named puts a row that begins with the number of a name.
func (in *importer) named(ctx context.Context, name, table, field, fields string, values ...any) error {
	id, err := in.name(ctx, name)
	if err != nil {
		return err
	}
	return in.put(ctx, table, field+" "+fields, append([]any{id}, values...)...)
}

func (in *importer) name(ctx context.Context, name string) (int32, error) {
	if id, ok := in.names[name]; ok {
		return id, nil
	}
	if _, err := in.tx.Exec(ctx, internSQL, name); err != nil {
		return 0, err
	}
	var id int32
	err := in.tx.QueryRow(ctx, findNameSQL, name).Scan(&id)
	in.names[name] = id
	return id, err
}

// put gathers a row, and sends what is gathered when the table changes or there is much.
func (in *importer) put(ctx context.Context, table, fields string, values ...any) error {
	if table != in.table || len(in.rows) >= importRows {
		if err := in.flush(ctx); err != nil {
			return err
		}
		in.table, in.fields = table, strings.Fields(fields)
	}
	in.rows = append(in.rows, values)
	return nil
}

func (in *importer) flush(ctx context.Context) error {
	if len(in.rows) == 0 {
		return nil
	}
	_, err := in.tx.CopyFrom(ctx, pgx.Identifier{in.table}, in.fields, pgx.CopyFromRows(in.rows))
	if err == nil && len(in.copies) > 0 {
		_, err = in.tx.CopyFrom(ctx, pgx.Identifier{"dh_copy"}, []string{"seq", "webhook", "body"}, pgx.CopyFromRows(in.copies))
	}
	in.rows, in.copies = nil, nil
	if err != nil {
		return fmt.Errorf("%s: %w", in.table, err)
	}
	return nil
}

// finish writes what is left, and what the retention by size goes by.
func (in *importer) finish(ctx context.Context) error {
	if err := in.flush(ctx); err != nil {
		return err
	}
	for _, query := range []string{
		`INSERT INTO dh_queue(shard, webhook, seq, batch) SELECT shard, webhook, seq, nullif(batch, '') FROM dh_delivery WHERE state = 0`,
		`UPDATE dh_event e SET bytes = bytes + d.n FROM (SELECT d.seq, count(*) * ` + strconv.Itoa(deliveryOverhead) + ` + coalesce(sum(octet_length(c.body)), 0) AS n
			FROM dh_delivery d LEFT JOIN dh_copy c ON c.seq = d.seq AND c.webhook = d.webhook GROUP BY d.seq) d WHERE d.seq = e.seq`,
		`UPDATE dh_source s SET event_bytes = e.n FROM (SELECT source, sum(bytes) AS n FROM dh_event GROUP BY source) e WHERE e.source = s.id`,
		`UPDATE dh_meta SET swept_bytes = 0`,
	} {
		if _, err := in.tx.Exec(ctx, query); err != nil {
			return err
		}
	}
	return nil
}
