package emitter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/auth"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// headerAttempt counts the attempts of a delivery from 1.
const headerAttempt = "deltahook-attempt"

// SenderOptions make a Sender. All but Version are required.
type SenderOptions struct {
	Webhook   Webhook
	Secrets   *setting.Secrets
	Transport http.RoundTripper
	Version   string // of the user agent
	// Sampled says whether a trace is one that is recorded, for those who trace the request further; nil: each is.
	Sampled func(TraceID) bool
}

// Sender makes attempts at one webhook.
type Sender struct {
	webhook   Webhook
	transport http.RoundTripper
	secrets   *setting.Secrets
	keys      keyring
	url       *url.URL
	blank     *http.Request                    // what is the same in each attempt, but for the headers
	host      string                           // of the request: the url's, or that of a custom Host header
	header    http.Header                      // what is the same in each attempt
	target    string                           // the url as the receiver sees it
	describe  func(h http.Header, d *Delivery) // adds the headers of the format; may be nil
	auth      auth.Authenticator
	dated     lastDate   // of the answers
	agreement *agreement // nil: the receiver is not asked
	sampled   func(TraceID) bool
	untraced  bool // the configuration has its own traceparent
}

// NewSender makes a sender. It fails when the webhook's url or secrets cannot be used.
func NewSender(o SenderOptions) (*Sender, error) {
	f, ok := formats()[o.Webhook.Format]
	if !ok {
		return nil, fmt.Errorf("webhook %s: unknown format %q", o.Webhook.Name, o.Webhook.Format)
	}
	u, err := outbound.ParseURL(o.Webhook.URL)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("webhook %s: the url cannot be used", o.Webhook.Name)
	}
	u.RawQuery = outbound.EscapeQuery(u.RawQuery)
	s := &Sender{
		webhook: o.Webhook, transport: outbound.Unswitched(o.Transport), secrets: o.Secrets, url: u, host: u.Host,
		keys:     keyring{style: o.Webhook.Sign, signature: o.Webhook.Signature, refs: o.Webhook.Secret, secrets: o.Secrets},
		describe: f.headers, sampled: o.Sampled, untraced: setsTrace(o.Webhook.Headers),
	}
	if o.Webhook.batchEvents() > 0 {
		s.describe = setBatchHeaders
	}
	if o.Webhook.Sign == signNone {
		s.keys.refs = nil
	}
	if _, err := s.keys.signer(); err != nil {
		return nil, fmt.Errorf("webhook %s: %w", o.Webhook.Name, err)
	}
	if s.auth, err = s.authenticator("deltahook/" + o.Version); err != nil {
		return nil, fmt.Errorf("webhook %s: %w", o.Webhook.Name, err)
	}
	if o.Webhook.Handshake.Kind == handshakeEvents {
		s.agreement = &agreement{turn: make(chan struct{}, 1)}
	}
	s.setHeaders(o.Webhook.contentType(), "deltahook/"+o.Version)
	for _, name := range s.keys.headers() {
		setExact(s.header, name) // each attempt fills in its own, and need not look for other spellings of them
	}
	s.rememberQuery()
	s.blank = &http.Request{Method: s.webhook.Method, URL: s.url, Host: s.host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	seen := *u
	seen.Host = s.host
	s.target = seen.String()
	return s, nil
}

// setHeaders keeps the spelling of custom headers, except of those that net/http writes itself.
func (s *Sender) setHeaders(contentType, userAgent string) {
	s.header = http.Header{"Content-Type": {contentType}, "User-Agent": {userAgent}}
	for name, value := range s.webhook.Headers {
		switch strings.ToLower(name) {
		case headerTrace:
			if value != "" {
				setExact(s.header, name, value)
			}
		case "host":
			s.host = value
		case "user-agent":
			s.header["User-Agent"] = []string{value}
		case "content-type":
			delete(s.header, "Content-Type")
			fallthrough
		default:
			setExact(s.header, name, value)
		}
		if carriesSecret(name) {
			s.secrets.Remember(value)
		}
	}
}

// rememberQuery keeps secrets in the query of the url, ?token=… say, out of what people see: receivers repeat it in their answers.
func (s *Sender) rememberQuery() {
	for name, values := range s.url.Query() {
		for _, value := range values {
			if carriesSecret(name) {
				s.secrets.Remember(value)
			}
		}
	}
}

// carriesSecret says whether the value of a header or parameter of this name is to be kept out of logs.
func carriesSecret(name string) bool {
	lower := strings.ToLower(name)
	for _, word := range []string{"auth", "token", "secret", "key", "passw", "passphrase", "credential", "cookie", "jwt", "signature"} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}

// Send makes one attempt: one request, signed now, within the webhook's timeout. Redirects are not followed.
func (s *Sender) Send(ctx context.Context, d Delivery) Outcome {
	one := &span{parent: ctx}
	defer one.close()
	return s.send(one, d) //nolint:contextcheck // the span has it
}

// send makes one of the attempts of a span.
func (s *Sender) send(within *span, d Delivery) Outcome {
	start, trace := time.Now(), s.trace(d.ID)
	o := s.attempt(within, d, &trace)
	o.At, o.Took, o.Trace = start, time.Since(start), trace
	return o
}

func (s *Sender) attempt(within *span, d Delivery, trace *Trace) Outcome {
	if reason := unsendableReason(d.Body); reason != "" {
		return Outcome{Class: Rejected, Reason: ReasonFormat, Error: s.secrets.Redact(reason)}
	}
	parent, ctx := within.parent, within.begin(s.webhook.Timeout.Std())
	defer within.end()
	limit, err := s.agree(ctx)
	if err != nil {
		return s.fault(parent, ctx, err)
	}
	var req *http.Request // the last one
	resp, refusal, err := s.proven(ctx, func() (*http.Request, error) {
		var err error
		req, err = s.request(ctx, d, trace)
		return req, err
	})
	if err != nil {
		o := s.sent(req, s.fault(parent, ctx, err))
		o.Limit = limit
		return o
	}
	defer resp.Body.Close()
	if s.webhook.SuccessWhen.IsZero() && resp.Body != http.NoBody {
		within.restart(min(drainTime, s.webhook.Timeout.Std()))
	}
	o := s.sent(req, s.answer(resp))
	o.Limit = limit
	if refusal != nil && o.Class != Delivered {
		o.Error += "; " + s.secrets.Redact(refusal.Error())
	}
	return o
}

func (s *Sender) request(ctx context.Context, d Delivery, trace *Trace) (*http.Request, error) {
	signer, err := s.keys.signer()
	if err != nil {
		return nil, &unsentError{reason: ReasonSign, text: "sign: " + err.Error()}
	}
	header := maps.Clone(s.header)
	setExact(header, headerAttempt, strconv.Itoa(d.Attempts+1))
	if !s.untraced {
		header[headerTrace] = []string{trace.header()}
	}
	if s.describe != nil {
		described := d // so that only this one leaves the stack
		s.describe(header, &described)
	}
	m := Message{ID: d.ID, At: time.Now(), Type: d.Type, Method: s.webhook.Method, URL: s.target, Body: d.Body}
	if err := signer.Sign(header, &m); err != nil {
		return nil, &unsentError{reason: ReasonSign, text: "sign: " + err.Error()}
	}
	req := s.blank.WithContext(ctx)
	req.Header, req.ContentLength = header, int64(len(d.Body))
	body := d.Body
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body, _ = req.GetBody()
	return req, nil
}

// fault makes an outcome of a request that got no status line. Kept connections are dropped: the next attempt makes its own,
// to wherever the name then leads.
func (s *Sender) fault(parent, ctx context.Context, err error) Outcome {
	if parent.Err() != nil {
		return Outcome{Class: Aborted, Reason: outbound.FaultClosed, Error: "cancelled"}
	}
	if e, ok := errors.AsType[*unsentError](err); ok {
		return s.withheld(e)
	}
	if e, ok := errors.AsType[*outbound.UnreadyError](err); ok {
		return s.withheld(&unsentError{reason: outbound.FaultUnready, text: e.Error()})
	}
	s.closeIdle()
	if ctx.Err() != nil {
		return Outcome{Class: Failed, Reason: outbound.FaultTimeout, Error: "no answer within " + s.webhook.Timeout.String()}
	}
	reason, text := outbound.PostFault(err)
	return Outcome{Class: Failed, Reason: reason, Error: s.secrets.Redact(text)}
}

// closeIdle closes the connections that are not in use.
func (s *Sender) closeIdle() {
	if t, ok := s.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
