//go:build deltahook_unfenced

package postgres

// What is left of the fence in a program that a test makes, to see what the fence is for: everything passes.
const (
	fenceCTE      = `f AS MATERIALIZED (SELECT 1 FROM dh_shard WHERE id = $1::integer AND $2::text IS NOT NULL AND $3::bigint IS NOT NULL)`
	baseCondition = `$5::bigint IS NOT NULL AND coalesce($6::bigint, s.sequence) IS NOT NULL`
)
