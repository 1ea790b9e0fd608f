package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/setting"
)

func (a *app) ping() *cobra.Command {
	return &cobra.Command{
		Use:   "ping [WEBHOOK]",
		Short: "Send one signed test event to a webhook and show what happens",
		Long: "Sends an event of the type deltahook.ping to a configured webhook (default: the only one), over its own proxy, TLS,\n" +
			"credentials and handshake, and shows the request, what was signed, the answer, and the next step. It needs no daemon\n" +
			"and leaves nothing in the store. It fails when the event was not delivered.",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, secrets, err := a.load()
			if err != nil {
				return err
			}
			w, err := webhookNamed(cfg, append(args, "")[0], "deltahook ping ")
			if err != nil {
				return err
			}
			return (&pinger{app: a, webhook: w, secrets: secrets}).run(cmd.Context())
		},
	}
}

// pinger is one run of `ping`.
type pinger struct {
	*app
	webhook *emitter.Webhook
	secrets *setting.Secrets

	exchanges []exchange
}

// exchange is a request as it went out, and the head of its answer.
type exchange struct {
	request *http.Request
	body    []byte
	answer  *http.Response // nil: there was none
}

// recording keeps each exchange that goes over base. One attempt is made at a time.
type recording struct {
	base http.RoundTripper
	into *[]exchange
}

// RoundTrip sends the request.
func (r recording) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body) // it comes from memory
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	kept := req.Clone(req.Context())
	resp, err := r.base.RoundTrip(req)
	*r.into = append(*r.into, exchange{request: kept, body: body, answer: resp})
	return resp, err
}

func (p *pinger) run(ctx context.Context) error {
	transport, err := emitter.NewTransport(p.webhook, p.secrets)
	if err != nil {
		return failureHint(err, setting.Hint(err))
	}
	defer transport.CloseIdleConnections()
	sender, err := emitter.NewSender(emitter.SenderOptions{
		Webhook: *p.webhook, Secrets: p.secrets, Transport: recording{base: transport, into: &p.exchanges}, Version: version,
	})
	if err != nil {
		return failureHint(err, setting.Hint(err))
	}
	d, err := p.delivery(time.Now())
	if err != nil {
		return failure(err)
	}
	return p.report(sender.Send(ctx, d))
}

// delivery makes the event. It is of no source, and its id is a new one each time.
func (p *pinger) delivery(now time.Time) (emitter.Delivery, error) {
	data, err := json.Marshal(map[string]string{"webhook": p.webhook.Name, "message": "a test by deltahook ping: nothing has changed"})
	if err != nil {
		return emitter.Delivery{}, err
	}
	e := emitter.Notice("deltahook.ping", now, data)
	d := emitter.Delivery{ID: emitter.NewID(now, []byte(rand.Text())), Type: e.EventType(), At: now}
	if d.Body = p.webhook.Encode(d.ID, e); d.Body == nil {
		d.Body = emitter.EncodeStandard(nil, e)
	}
	return p.webhook.Alone(d), nil
}

func (p *pinger) report(o emitter.Outcome) error {
	for _, x := range p.exchanges {
		p.printExchange(x)
	}
	if o.Excerpt != "" {
		fmt.Fprintln(p.stdout, quote("< ", "\n"+strings.TrimRight(o.Excerpt, "\n")))
	}
	if o.Skew.Abs() >= time.Minute {
		fmt.Fprintf(p.stdout, "%s the receiver's clock is %s from ours: signatures that are five minutes off are refused. Look at NTP on both\n",
			p.paint(yellow, "!"), o.Skew.Round(time.Second))
	}
	if o.Class == emitter.Delivered {
		fmt.Fprintf(p.stdout, "%s %s took the event (%d) in %s\n  it will get the events of its sources: deltahook run\n",
			p.paint(green, "✓"), p.webhook.Name, o.Status, o.Took.Round(time.Millisecond))
		return nil
	}
	return failureHint(fmt.Errorf("%s %s did not take the event: %s", p.paint(red, "✗"), p.webhook.Name, o.Error), pingHint(p.webhook, o))
}

// printExchange shows what belongs to the webhook. Of requests for tokens it shows that there were some: the rest is secret.
func (p *pinger) printExchange(x exchange) {
	r := x.request
	if own, err := url.Parse(p.webhook.URL); err != nil || own.String() != r.URL.String() {
		fmt.Fprintf(p.stdout, "asked %s://%s%s for a token: %s\n\n", r.URL.Scheme, r.URL.Host, r.URL.EscapedPath(), x.status())
		return
	}
	p.show("> ", fmt.Sprintf("%s %s HTTP/1.1\nHost: %s\n%s\n%s", r.Method, r.URL.RequestURI(), r.Host, headerText(r.Header), x.body))
	if r.Method != http.MethodOptions {
		p.printSigned(x)
	}
	if x.answer != nil {
		p.show("< ", x.answer.Proto+" "+x.answer.Status+"\n"+headerText(x.answer.Header))
	}
}

func (x exchange) status() string {
	if x.answer == nil {
		return "no answer"
	}
	return x.answer.Status
}

// printSigned shows what the receiver has to compute the signature of, byte for byte.
func (p *pinger) printSigned(x exchange) {
	seen := *x.request.URL
	seen.Host = x.request.Host
	received := &emitter.Received{Method: x.request.Method, URL: seen.String(), Header: x.request.Header, Body: x.body}
	signed, err := emitter.SignedContent(received, p.webhook.Sign, p.webhook.Signature)
	if err != nil || len(signed) == 0 {
		fmt.Fprintf(p.stdout, "nothing is signed: sign = %q\n\n", p.webhook.Sign)
		return
	}
	for _, text := range signed {
		fmt.Fprintf(p.stdout, "signed (%s), %d bytes:\n", p.webhook.Sign, len(text))
		p.show("= ", text)
	}
}

// show prints lines behind a mark, without the secrets that are known.
func (p *pinger) show(mark, text string) {
	fmt.Fprintf(p.stdout, "%s\n\n", quote(mark, p.secrets.Redact(strings.TrimRight(text, "\n"))))
}

func quote(mark, text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(mark+lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func headerText(h http.Header) string {
	var b strings.Builder
	for _, name := range slices.SortedFunc(maps.Keys(h), func(a, b string) int {
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	}) {
		for _, value := range h[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	return b.String()
}
