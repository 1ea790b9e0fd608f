//go:build !deltahook_unfenced

package postgres

const (
	// The fence holds the lease until the end of the transaction: nobody takes the shard over meanwhile.
	fenceCTE = `f AS MATERIALIZED (SELECT 1 FROM dh_shard WHERE id = $1::integer AND owner = $2 AND epoch = $3::bigint FOR SHARE)`
	// A commit builds on the version and the sequence that it was computed from.
	baseCondition = `s.version = $5::bigint AND s.sequence = coalesce($6::bigint, s.sequence)`
)
