package emitter

import (
	"context"
	"fmt"
)

// Preview shows the request that the next attempt at a delivery would be, as people may see it: what authenticates is hidden, and
// of a signature there is the beginning only. Nothing is sent.
func (d *Dispatcher) Preview(ctx context.Context, webhook string, of Delivery) (string, error) {
	q, ok := d.all()[webhook]
	if !ok {
		return "", fmt.Errorf("webhook %s is not configured", webhook)
	}
	s, err := d.senderOver(q.webhook, nil)
	if err != nil {
		return "", err
	}
	req, err := s.request(ctx, of, &Trace{ID: TraceOf(of.ID)})
	if err != nil {
		return "", err
	}
	for _, name := range s.webhook.authHeaders() {
		setExact(req.Header, name, hiddenValue)
	}
	return s.secrets.Redact(s.show(req)), nil
}
