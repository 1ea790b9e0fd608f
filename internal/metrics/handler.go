package metrics

import (
	"compress/gzip"
	"context"
	"net/http"
	"strings"
)

// ContentType is that of the text format.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Handler serves the metrics. The whole text is made before any of it is sent: who reads slowly holds up nothing of the daemon.
func (m *Metrics) Handler(now func(ctx context.Context) *Now) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := m.Text(now(r.Context()))
		w.Header().Set("Content-Type", ContentType)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Vary", "Accept-Encoding")
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			_, _ = w.Write(text)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		defer func() { _ = zip.Close() }()
		_, _ = zip.Write(text) // who went away does not want to know
	})
}
