package store

import "context"

// Errands is how something to do reaches the member that owns a shard, whichever member was asked. A Shared store has it.
type Errands interface {
	// Ask leaves an errand for whoever owns the shard. One that nobody has taken on after some time is never carried out.
	Ask(ctx context.Context, shard int, text []byte) (id int64, err error)
	// Asked lists the errands of some shards that nobody has answered, oldest first.
	Asked(ctx context.Context, shards []int) ([]Errand, error)
	// Answer says what came of an errand.
	Answer(ctx context.Context, id int64, text []byte) error
	// Collect gives an answer, once; nil as long as there is none. After the last time nobody waits for one any more.
	Collect(ctx context.Context, id int64, last bool) ([]byte, error)
}

// Errand is something to do for the owner of a shard.
type Errand struct {
	ID    int64
	Shard int
	Text  []byte
}
