package sqlite

import (
	"context"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store/stored"
	"github.com/deltahook/deltahook/poller"
)

const (
	insertPrintSQL  = `INSERT INTO print(book, hash, prints, missing, record) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	updatePrintSQL  = `UPDATE print SET prints = ?, missing = ? WHERE book = ? AND hash = ?`
	deletePrintSQL  = `DELETE FROM print WHERE book = ? AND hash = ?`
	insertRecordSQL = `INSERT INTO record(id, book, key, body) VALUES (?, ?, ?, ?)`
	updateRecordSQL = `UPDATE record SET body = ? WHERE id = (SELECT record FROM print WHERE book = ? AND hash = ?)`
	deleteRecordSQL = `DELETE FROM record WHERE id = (SELECT record FROM print WHERE book = ? AND hash = ?)`
)

// book is the set of records of one source, in a write transaction.
type book struct {
	s     *Store
	t     *tx
	id    int64
	empty bool  // was, when the transaction began: most records will be new
	last  int64 // highest id in the table record

	packed []byte // reused by pack
}

// apply writes a record and says by how much the number of records grows.
func (b *book) apply(ctx context.Context, w *poller.Write) (int64, error) {
	if w.Untouched {
		return 0, nil
	}
	if w.Remove {
		return b.remove(ctx, w)
	}
	first, second := b.update, b.insert
	if b.empty || (w.Event != nil && w.Event.Change == differ.Created) {
		first, second = b.insert, b.update
	}
	delta, done, err := first(ctx, w)
	if err != nil || done {
		return delta, err
	}
	delta, _, err = second(ctx, w)
	return delta, err
}

// insert adds the record, unless it is there.
func (b *book) insert(ctx context.Context, w *poller.Write) (delta int64, done bool, err error) {
	n, err := b.t.exec(ctx, insertPrintSQL, b.id, w.Hash[:], stored.AppendPrint(nil, w.Print), w.Missing, b.last+1)
	if err != nil || n == 0 {
		return 0, false, err
	}
	b.last++
	_, err = b.t.exec(ctx, insertRecordSQL, b.last, b.id, w.Key, b.pack(w.Body))
	return 1, true, err
}

// update changes the record, if it is there.
func (b *book) update(ctx context.Context, w *poller.Write) (delta int64, done bool, err error) {
	n, err := b.t.exec(ctx, updatePrintSQL, stored.AppendPrint(nil, w.Print), w.Missing, b.id, w.Hash[:])
	if err != nil || n == 0 {
		return 0, false, err
	}
	if w.Body != nil {
		_, err = b.t.exec(ctx, updateRecordSQL, b.pack(w.Body), b.id, w.Hash[:])
	}
	return 0, true, err
}

// pack gives the stored form of a body; it is valid until the next call.
func (b *book) pack(body []byte) []byte {
	packed := b.s.bodies.Pack(b.packed[:0], body)
	if packed != nil {
		b.packed = packed
	}
	return packed
}

func (b *book) remove(ctx context.Context, w *poller.Write) (int64, error) {
	if _, err := b.t.exec(ctx, deleteRecordSQL, b.id, w.Hash[:]); err != nil {
		return 0, err
	}
	n, err := b.t.exec(ctx, deletePrintSQL, b.id, w.Hash[:])
	return -n, err
}
