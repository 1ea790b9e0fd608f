package daemon

import (
	"context"
	"time"

	"github.com/deltahook/deltahook/internal/config"
)

// watch reloads when the content of the files has changed, wherever links lead now, or a secret that they refer to. It asks
// for the content and not for the times of files, so that nothing can be missed, and goes on after a configuration that was
// rejected: that one is tried again, because what was wrong may have been a secret that was not there yet.
func (d *Daemon) watch(ctx context.Context) {
	seen := ""
	for wait := d.opts.Watch; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = d.opts.Watch
		now := d.content()
		if now == d.inForce() && d.accepted() {
			continue
		}
		if now != seen { // somebody may be writing: look again soon
			seen, wait = now, d.opts.Watch/4
			continue
		}
		_, _ = d.Reload(ctx) // which tells what is wrong
	}
}

// content gives what tells the content of the files, and of what the running configuration refers to.
func (d *Daemon) content() string {
	files, err := config.Fingerprint(d.opts.Paths)
	if err != nil {
		files = err.Error()
	}
	return files + config.PrintOf(d.current().refs, d.opts.Secrets)
}

// inForce gives the same of the configuration that runs.
func (d *Daemon) inForce() string {
	r := d.current()
	return r.config.Fingerprint + r.print
}

// accepted says whether the last reload was.
func (d *Daemon) accepted() bool {
	d.reload.mu.Lock()
	defer d.reload.mu.Unlock()
	return d.reload.problem == ""
}
