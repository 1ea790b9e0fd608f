package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// ActStopped carries out, while the daemon is down, what only changes the store: the daemon goes by it when it starts.
func ActStopped(ctx context.Context, st store.Store, c *config.Config, secrets *setting.Secrets, a admin.Action) error {
	m, err := store.Own(ctx, st, "command", time.Minute)
	if err != nil {
		return err
	}
	return errors.Join(actStopped(ctx, m, st, c, secrets, a), m.Leave(context.WithoutCancel(ctx)))
}

func actStopped(ctx context.Context, m store.Member, st store.Store, c *config.Config, secrets *setting.Secrets, a admin.Action) error {
	if a.Webhook != "" {
		return gateStopped(ctx, m, a)
	}
	switch a.Verb {
	case admin.Pause, admin.Resume:
		return poller.PauseStored(ctx, m, a.Source, a.Verb == admin.Pause)
	case admin.Release:
		return poller.DecideStored(ctx, m, a.Source, poller.Release)
	case admin.Discard:
		return poller.DecideStored(ctx, m, a.Source, poller.Discard)
	case admin.Jump:
		p, err := byHand(m, st, c, secrets).poller(a.Source)
		if err != nil {
			return explained(err, a.Source)
		}
		return explained(p.Skip(ctx), a.Source)
	default:
		return admin.ErrNotRunning
	}
}

// gateStopped pauses a webhook that nobody delivers to, or lets it go on when somebody does.
func gateStopped(ctx context.Context, m store.Member, a admin.Action) error {
	now := time.Now()
	state := emitter.GateState{State: emitter.GateOpen, At: now}
	switch a.Verb {
	case admin.Pause:
		state = emitter.GateState{State: emitter.GatePaused, Since: now, At: now, Reason: pausedByHand}
	case admin.Resume:
	default:
		return admin.ErrNotRunning
	}
	gates, err := m.Gates(ctx)
	if err != nil {
		return err
	}
	state.Gen = gates[a.Webhook].Gen
	_, saved, err := m.SaveGate(ctx, a.Webhook, state)
	if err == nil && !saved {
		err = fmt.Errorf("%w: the gate of %s has moved meanwhile; say it again", admin.ErrState, a.Webhook)
	}
	return err
}

const pausedByHand = "paused by hand"
