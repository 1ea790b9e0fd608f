package daemon

import (
	"context"
	"net/http"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/admin/page"
	"github.com/deltahook/deltahook/internal/config"
)

// handler is what the admin listener serves: the API at its paths, and the web page at all others.
func (d *Daemon) handler() (http.Handler, error) {
	view := d.view()
	web, err := page.Handler(page.Options{
		View: view, Door: d.door, Log: d.opts.Log, Version: d.opts.Version,
		Webhook: func(name string) []admin.Setting {
			entries := config.WebhookEntries(d.current().config, name)
			list := make([]admin.Setting, len(entries))
			for i, e := range entries {
				list[i] = admin.Setting(e)
			}
			return list
		},
		Request: func(ctx context.Context, e admin.EventDetail, of admin.Delivery) (string, error) {
			return d.dispatcher.Preview(ctx, of.Webhook, emitter.Delivery{
				ID: e.ID, Source: e.Source, Key: e.Key, Type: e.Type, Sequence: e.Sequence, At: e.At, Body: e.Payload, Attempts: of.Attempts,
			})
		},
	})
	if err != nil {
		return nil, err
	}
	api := admin.Handler(admin.Options{
		View: view, Metrics: d.opts.Metrics.Handler(d.now),
		Ready: d.Ready, Health: d.Health, Log: d.opts.Log,
		Door:     d.door,
		Settings: func() map[string]map[string]string { return config.Settings(d.current().config) },
		Prints:   func() map[string]map[string]string { r := d.current(); return r.facts.Prints.Sealed(r.token) },
	})
	mux := http.NewServeMux()
	mux.Handle("/", web)
	for _, path := range []string{"/api/", "/healthz", "/readyz", "/metrics"} {
		mux.Handle(path, api)
	}
	return mux, nil
}
