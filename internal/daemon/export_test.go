package daemon

// Settled says whether this replica has told the store which sources there are.
func (d *Daemon) Settled() bool { return d.settled() }
