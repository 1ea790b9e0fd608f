package poller

import "context"

// ResetLevel says how much of what is stored of a source a reset forgets.
type ResetLevel string

// The levels, from the least to all.
const (
	ResetValidators ResetLevel = "validators" // ETag and Last-Modified: the next poll asks for the whole answer
	ResetCursor     ResetLevel = "cursor"     // and the watermark: the next poll is a complete one
	ResetRecords    ResetLevel = "records"    // and all records, a hold too: the next complete poll is a baseline
	ResetAll        ResetLevel = "all"        // and the history of polls, and the sequence of events
)

// ResetLevels lists the levels.
func ResetLevels() []ResetLevel {
	return []ResetLevel{ResetValidators, ResetCursor, ResetRecords, ResetAll}
}

// Reset forgets a part of what is stored of the source, and gives what was stored before. Events that were detected stay,
// and those that wait are still delivered. A paused source stays paused.
func (p *Poller) Reset(ctx context.Context, level ResetLevel) (State, error) {
	if err := p.take(ctx); err != nil {
		return State{}, err
	}
	defer p.giveBack()
	if err := p.load(ctx); err != nil {
		return State{}, err
	}
	was := p.known.state
	state, forget := was, ForgetNothing
	switch level {
	case ResetValidators:
		state.Validators = Validators{}
	case ResetCursor:
		state.Validators, state.Cursor = Validators{}, restarted(state.Cursor)
	case ResetRecords:
		state, forget = was.bare(), ForgetRecords
	case ResetAll:
		state, forget = State{Paused: was.Paused, Untold: was.untold()}, ForgetAll
	}
	if err := p.commit(ctx, Commit{State: state, Forget: forget}); err != nil {
		return was, err
	}
	p.forget()
	p.released = p.released || was.Held != nil && state.Held == nil
	return was, nil
}

// bare is the state of a source of which no record is known.
func (s *State) bare() State {
	return State{Sequence: s.Sequence, Paused: s.Paused, Untold: s.untold()}
}

// established says that what is known is what receivers count on: there is a baseline, or they were told of records of a first listing
// that is not finished.
func (s *State) established() bool {
	return s.Identity != "" && (!s.Baselined.IsZero() || s.Sequence > s.Began)
}

// misbegun says that the first listing was begun under another identity than the one that is configured, and nobody was told of its
// records: nobody has to be asked what becomes of them.
func (p *Poller) misbegun() bool {
	s := &p.known.state
	return s.Identity != "" && !s.established() && p.identifiesAnew()
}

// startAnew forgets the records of a first listing, which begins anew.
func (p *Poller) startAnew(ctx context.Context) error {
	if err := p.commit(ctx, Commit{State: p.known.state.bare(), Forget: ForgetRecords}); err != nil {
		return err
	}
	p.forget()
	return p.load(ctx)
}

// Stored gives the durable state of the source. A poll may run meanwhile.
func (p *Poller) Stored(ctx context.Context) (State, error) {
	state, err := p.opts.Ledger.Load(ctx, p.source.Name)
	if err != nil {
		return State{}, p.storeFault("the state of the source cannot be read", err)
	}
	return state, nil
}
