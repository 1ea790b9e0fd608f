package postgres

import "context"

// Probe makes a small durable write.
func (s *Store) Probe(ctx context.Context) error {
	return s.change(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `UPDATE dh_meta SET swept_bytes = swept_bytes`)
		return err
	})
}
