package poller

import (
	"context"
	"net/http"
	"reflect"

	"github.com/deltahook/deltahook/internal/outbound"
)

// do asks, and once more when a refusal led to a secret that is another one now: what rotates a secret in a file may keep its size and
// time, so a change is not always seen before. With again it makes the request anew.
func (p *Poller) do(ctx context.Context, r *requests, req outbound.Request, again func() (outbound.Request, error)) (*outbound.Response, error) {
	resp, err := p.client.Do(ctx, req)
	if err != nil || resp.Status != http.StatusUnauthorized && resp.Status != http.StatusForbidden || !p.reread(r) {
		return resp, err
	}
	renewed, err := again()
	if err != nil || equalSecrets(req, renewed) {
		return resp, err
	}
	_ = resp.Body.Close()
	second, err := p.client.Do(ctx, renewed)
	if second != nil {
		second.Attempts += resp.Attempts
	}
	return second, err
}

// reread reads the secrets of a request again and says whether there are any.
func (p *Poller) reread(r *requests) bool {
	found := false
	for _, refs := range r.references() {
		for _, ref := range refs {
			found = true
			// A secret that cannot be read is an error when the request is made anew.
			_, _ = p.opts.Secrets.Reread(ref)
		}
	}
	return found
}

func equalSecrets(a, b outbound.Request) bool {
	return a.URL.String() == b.URL.String() && reflect.DeepEqual(a.Credentials, b.Credentials) && reflect.DeepEqual(a.SecretQuery, b.SecretQuery) &&
		string(a.Body) == string(b.Body)
}
