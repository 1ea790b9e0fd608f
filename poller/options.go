package poller

import (
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/trust"
)

// Options are what all sources of a process share. Ledger, Outlet and Secrets are required.
type Options struct {
	Ledger  Ledger
	Outlet  Outlet
	Secrets *setting.Secrets
	Seed    differ.Seed // of the store: keys all hashes

	Vault     Vault            // keeps rotated refresh tokens; nil: sources with the grant refresh_token fail
	Hosts     []Host           // limits of hosts; validated
	Pool      *budget.Pool     // what is known of other members who ask the same hosts; nil: there are none
	Observer  Observer         // told of polls and transitions; nil: nobody
	Now       func() time.Time // nil: time.Now
	Workers   int              // polls that may start at the same time; 0: 256
	TempDir   string           // for what a poll cannot keep in memory; empty: the system's
	UserAgent string           // of sources that set none; empty: "deltahook"
	Dial      outbound.Dial    // opens connections; nil: the network
	Trust     *trust.Window    // until when a scheduler may begin polls; nil: for ever
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	if o.Secrets == nil {
		o.Secrets = &setting.Secrets{}
	}
	if o.Workers <= 0 {
		o.Workers = 256
	}
	if o.UserAgent == "" {
		o.UserAgent = "deltahook"
	}
	return o
}

// Occasion says why a poll happens now.
type Occasion struct {
	Scheduled time.Time // the time it was due; what {scheduled_at} stands for
	// Waiting is called when the poll waits for its turn at a host, perhaps more than once; nil: not at all.
	Waiting func()
	// Progress is called now and then while a listing is fetched, from the goroutine that polls; nil: not at all.
	Progress func(Progress)
}

// Progress is how far a poll is.
type Progress struct {
	Pages   int
	Records int
	Bytes   int64
}

// Result is what came of one poll.
type Result struct {
	Poll

	Source string
	Bytes  int64  // of all answers, after decompression
	Events int    // that were committed
	State  State  // of the source after the poll; zero when it could not be loaded
	Hint   string // the next step for a person; may be empty
	// Until is set when the poll was deferred by the server: it must not be asked again before.
	Until time.Time
	// Err is why a poll failed, redacted; nil for every other verdict. It wraps ErrFenced when the source belongs to
	// somebody else now.
	Err error
	// Hold is set while the source waits for a person.
	Hold *Hold
	// More says that another window of a cursor waits behind the one that was read.
	More bool
	// Notice is something that happened once and should be known; usually empty.
	Notice string
	// Paused says that nothing was asked because the source is paused.
	Paused bool

	// Traffic is what was asked for the poll, and how long that had to wait for the limits of its host.
	Traffic outbound.Traffic
	// Lags are the times from the change of a record, by cursor.field, to this poll that found it; those of the first hundred.
	Lags []time.Duration

	// Fresh is until when the server calls its answer fresh; zero when it does not say, or when that does not matter.
	Fresh time.Time

	baselined, released bool          // by this poll
	again               time.Duration // until it is worth another try, when that is sooner than the schedule says; 0: it is not
	hushed, stirred     bool          // the source has become quiet, or is not any more
}
