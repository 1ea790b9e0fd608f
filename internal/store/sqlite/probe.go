package sqlite

import "context"

const probeSQL = `INSERT INTO meta(name, value) VALUES ('probe', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`

// Probe writes the time.
func (s *Store) Probe(ctx context.Context) error {
	return s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, probeSQL, micros(s.now()))
		return err
	})
}
