package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/emitter"
)

func (a *app) listen() *cobra.Command {
	var (
		keys   keyFlags
		status int
		n      int
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "listen [ADDRESS]",
		Short: "A local receiver that verifies webhooks and prints them",
		Long: "Listens on ADDRESS (default: where the configured webhook points to), verifies each request and prints one line for\n" +
			"it. Requests that do not verify are answered 401.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			how, err := a.keys(keys)
			if err != nil {
				return err
			}
			addr, err := a.listenAddress(args, keys.webhook)
			if err != nil {
				return err
			}
			l := &listener{app: a, how: how, status: status, asJSON: asJSON, left: n, seen: map[string]int{}}
			return l.serve(cmd.Context(), addr)
		},
	}
	keys.flags(cmd)
	cmd.Flags().IntVar(&status, "status", http.StatusNoContent, "answer verified requests with this status")
	cmd.Flags().IntVarP(&n, "count", "n", 0, "stop after so many verified events; 0: never")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the verified bodies, one a line")
	return cmd
}

func (a *app) listenAddress(args []string, webhook string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	w, err := a.oneWebhook(webhook)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(w.URL)
	if err != nil || u.Port() == "" || (u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback()) {
		return "", usage("the webhook does not point to a port of this machine", "say where to listen: deltahook listen 127.0.0.1:8080")
	}
	return u.Host, nil
}

// listener is the receiver of `listen`.
type listener struct {
	*app
	how    emitter.VerifyOptions
	status int
	asJSON bool

	mu   sync.Mutex
	left int            // events until it stops; 0: it does not
	seen map[string]int // times by webhook-id
	done context.CancelFunc
}

func (l *listener) serve(ctx context.Context, addr string) error {
	ctx, l.done = context.WithCancel(ctx)
	defer l.done()
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return failureHint(fmt.Errorf("listen: %w", err), "another program may use the port: deltahook listen 127.0.0.1:PORT")
	}
	fmt.Fprintf(l.stderr, "listening on http://%s, verifying as %s with %d secret(s); Ctrl-C stops\n", ln.Addr(), l.how.Style, len(l.how.Secrets))
	server := &http.Server{Handler: l, ReadHeaderTimeout: 10 * time.Second}
	answered := make(chan struct{})
	stopped := context.AfterFunc(ctx, func() {
		defer close(answered)
		shut, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = server.Shutdown(shut)
	})
	defer stopped()
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return failure(err)
	}
	<-answered // the last answer is on its way
	return nil
}

// maxWebhook bounds the body of one request.
const maxWebhook = 64 << 20

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	how := l.how
	how.Now, how.Tolerance = time.Now(), emitter.DefaultTolerance
	err = emitter.VerifyRequest(&emitter.Received{Method: r.Method, URL: "http://" + r.Host + r.RequestURI, Header: r.Header, Body: body}, how)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		fmt.Fprintf(l.stdout, "%s  %s  %s %s from %s: %v\n", time.Now().Format(time.TimeOnly), l.paint(red, "✗"), r.Method, r.URL.Path, r.RemoteAddr, err)
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	n := l.print(r.Header, body)
	w.WriteHeader(l.status)
	if l.left > 0 {
		if l.left = max(l.left-n, 0); l.left == 0 {
			l.done()
		}
	}
}

// envelope is what a line shows of a body in the format "standard".
type envelope struct {
	ID   string `json:"id"` // of CloudEvents
	Type string `json:"type"`
	Data struct {
		Key      string   `json:"key"`
		Sequence int64    `json:"sequence"`
		Changed  []string `json:"changed"`
	} `json:"data"`
}

// print shows a request, a line for each of its events, and says how many there are.
func (l *listener) print(h http.Header, body []byte) int {
	events := []json.RawMessage{body}
	id := h.Get("webhook-id")
	again := l.seen[id] > 0
	l.seen[id]++
	batch := h.Get("deltahook-batch") != ""
	if batch {
		events = nil
		_ = json.Unmarshal(body, &events)
	}
	if l.asJSON {
		_, _ = l.stdout.Write(append(body, '\n'))
		return len(events)
	}
	for _, event := range events {
		l.printEvent(h, id, event, again)
	}
	if batch {
		fmt.Fprintf(l.stdout, "%10s%d of the batch %s\n", "", len(events), id)
	}
	return len(events)
}

func (l *listener) printEvent(h http.Header, id string, body []byte, again bool) {
	var e envelope
	_ = json.Unmarshal(body, &e) // what other formats lack is not shown
	if e.ID != "" {
		id = e.ID
	}
	for _, name := range []string{"ce-type", "deltahook-event"} {
		if e.Type == "" {
			e.Type = h.Get(name)
		}
	}
	line := fmt.Sprintf("%s  %s  %-24s", time.Now().Format(time.TimeOnly), l.paint(green, "✓"), e.Type)
	if e.Data.Sequence > 0 {
		line += fmt.Sprintf("  key %s  sequence %d", clip(e.Data.Key, 40), e.Data.Sequence)
	}
	if len(e.Data.Changed) > 0 {
		line += "  " + clip(fmt.Sprint(e.Data.Changed), 60)
	}
	line += fmt.Sprintf("  %s  %d bytes", id, len(body))
	if again {
		line += l.paint(yellow, "  again")
	}
	fmt.Fprintln(l.stdout, line)
}
