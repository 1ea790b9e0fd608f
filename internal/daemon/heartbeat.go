package daemon

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/outbound"
)

// heartbeatTime is how long an answer may take.
const heartbeatTime = 10 * time.Second

// heartbeat asks the address of the configuration as long as all is well: who waits for that there raises the alarm when it stays
// away, also when deltahook itself is dead. Of several replicas the one that tells does so: while none does, nobody knows that all is well.
func (d *Daemon) heartbeat(ctx context.Context) {
	transport := outbound.NewTransport()
	if d.opts.Dial != nil {
		transport.DialContext = d.opts.Dial
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: outbound.Unswitched(transport), Timeout: heartbeatTime}
	failed := false
	for {
		c := d.current().config
		if address, err := c.Alerts.HeartbeatURL(d.opts.Secrets); err == nil && address != "" && d.alerts.ours.Load() && d.beat.due(d.well(ctx)) {
			err = askHeartbeat(ctx, client, address, d.opts.Version)
			d.beat.note(d.beatFault(err))
			switch {
			case ctx.Err() != nil:
			case err != nil && !failed:
				d.opts.Log.WarnContext(ctx, "the heartbeat does not arrive; it is tried again", "err", d.beatFault(err))
			case err == nil && failed:
				d.opts.Log.InfoContext(ctx, "the heartbeat arrives again")
			}
			failed = err != nil
		}
		sleep(ctx, c.Alerts.HeartbeatEvery.Std())
		if ctx.Err() != nil {
			return
		}
	}
}

// beatFault says why a heartbeat did not arrive; nothing when it did.
func (d *Daemon) beatFault(err error) string {
	if err == nil {
		return ""
	}
	_, text := outbound.PostFault(err)
	return d.opts.Secrets.Redact(text)
}

// lastBeat is how the heartbeat goes, for people.
type lastBeat struct {
	mu      sync.Mutex
	arrived time.Time
	fault   string
	silent  bool
}

// due notes whether the heartbeat is to be sent, and gives that back.
func (b *lastBeat) due(well bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.silent = !well
	return well
}

// note keeps what came of one.
func (b *lastBeat) note(fault string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault = fault; fault == "" {
		b.arrived = time.Now()
	}
}

// show fills in what is known.
func (b *lastBeat) show(h *admin.Heartbeat) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h.Arrived, h.Silent, h.Error = b.arrived, b.silent, b.fault
}

// well says that there is nothing to be told, and that the daemon makes progress.
func (d *Daemon) well(ctx context.Context) bool {
	return d.alerts.well() && d.Health(ctx) == nil && d.Ready(ctx) == nil
}

func askHeartbeat(ctx context.Context, client *http.Client, address, version string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "deltahook/"+version)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &statusError{resp.Status}
	}
	return nil
}

// statusError is an answer that is no success.
type statusError struct{ status string }

func (e *statusError) Error() string { return "it answered " + e.status }
