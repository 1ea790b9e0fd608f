package emitter

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/deltahook/deltahook/internal/setting"
)

// Handshake asks a receiver whether it wants to be called, before the first delivery and now and then: the table handshake,
// and the validation of "HTTP 1.1 Web Hooks for Event Delivery" (CloudEvents 1.0.2), section 4. There is no callback: deltahook
// is not called from outside, so a receiver that agrees later is asked again until it does.
type Handshake struct {
	Kind   string           `toml:"kind"`   // "none", "cloudevents"
	Origin string           `toml:"origin"` // the DNS name that stands for this sender
	Every  setting.Duration `toml:"every"`
}

// The values of the key kind.
const (
	handshakeNone   = "none"
	handshakeEvents = "cloudevents"
)

// The headers of a handshake.
const (
	headerRequestOrigin = "WebHook-Request-Origin"
	headerRequestRate   = "WebHook-Request-Rate"
	headerAllowedOrigin = "WebHook-Allowed-Origin"
	headerAllowedRate   = "WebHook-Allowed-Rate"
)

// DefaultHandshake is none.
func DefaultHandshake() Handshake {
	return Handshake{Kind: handshakeNone, Every: setting.Duration(24 * time.Hour)}
}

func (h *Handshake) validate(p *setting.Problems) {
	if h.Kind != handshakeNone && h.Kind != handshakeEvents {
		p.Add(`write kind = "cloudevents", or leave the table out`, fmt.Sprintf("unknown kind %q of a handshake", h.Kind), "handshake", "kind")
		return
	}
	if h.Kind == handshakeNone {
		if h.Origin != "" {
			p.Add(`write kind = "cloudevents", or remove it`, "origin belongs to a handshake, and there is none", "handshake", "origin")
		}
		if h.Every != DefaultHandshake().Every {
			p.Warn(`write kind = "cloudevents", or remove it`, "every belongs to a handshake, and there is none", "handshake", "every")
		}
		return
	}
	const example = `write origin = "deltahook.example.com", the name by which the receiver knows you`
	switch {
	case h.Origin == "":
		p.Add(example, "the origin is missing: the receiver is asked whether it allows this name", "handshake", "origin")
	case !isOrigin(h.Origin):
		p.Add(example, fmt.Sprintf("the origin %q is not a DNS name", h.Origin), "handshake", "origin")
	}
	if h.Every.Std() < time.Minute {
		p.Add(`write every = "24h"`, fmt.Sprintf("every = %q asks more often than once a minute", h.Every), "handshake", "every")
	}
}

func isOrigin(name string) bool {
	return !strings.ContainsAny(name, "/:@*") && httpguts.ValidHostHeader(name) && strings.Trim(name, ".") != ""
}

// agreement is what a receiver said to the handshake. The zero value with a turn is: it was not asked.
type agreement struct {
	turn chan struct{} // who has it may ask

	mu    sync.Mutex
	until time.Time // it holds
	asked time.Time // when the last answer was there
	last  error     // what it was
}

// reach gives nil while the receiver agrees, and asks it when that is not known. Attempts that waited for the answer to the question
// of another one take it as theirs.
func (a *agreement) reach(ctx context.Context, every time.Duration, ask func() error) error {
	began := time.Now()
	if a.holds(began) {
		return nil
	}
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-a.turn }()
	if ok, err := a.heard(began); ok {
		return err
	}
	err := ask()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked, a.last = time.Now(), err
	if err == nil {
		a.until = a.asked.Add(every)
	}
	return err
}

func (a *agreement) holds(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return now.Before(a.until)
}

// heard gives an answer that came after a time.
func (a *agreement) heard(since time.Time) (ok bool, answer error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.asked.IsZero() && !a.asked.Before(since), a.last
}

// agree makes sure that the receiver wants to be called. It tells how many deliveries per second are allowed when it asked, else 0.
func (s *Sender) agree(ctx context.Context) (limit float64, err error) {
	if s.agreement == nil {
		return 0, nil
	}
	err = s.agreement.reach(ctx, s.webhook.Handshake.Every.Std(), func() error {
		var err error
		limit, err = s.shakeHands(ctx)
		return err
	})
	return limit, err
}

// shakeHands asks once. The headers of the answer decide, whatever its status.
func (s *Sender) shakeHands(ctx context.Context) (limit float64, err error) {
	resp, _, err := s.proven(ctx, func() (*http.Request, error) { return s.question(ctx), nil })
	if err != nil {
		return 0, err
	}
	_, _ = io.CopyN(io.Discard, resp.Body, drainBytes)
	_ = resp.Body.Close()
	origin := s.webhook.Handshake.Origin
	refused := func(format string, args ...any) error {
		return &unsentError{
			reason: ReasonHandshake, text: "the receiver does not agree to be called: " + fmt.Sprintf(format, args...),
			after: retryAfter(resp.Header, time.Now()),
		}
	}
	switch allowed := strings.TrimSpace(resp.Header.Get(headerAllowedOrigin)); {
	case allowed == "":
		return 0, refused("it answered OPTIONS with %s and without %s", statusText(resp), headerAllowedOrigin)
	case allowed != "*" && !strings.EqualFold(strings.TrimSuffix(allowed, "."), strings.TrimSuffix(origin, ".")):
		return 0, refused("it allows the origin %q, and this is %q", allowed, origin)
	}
	text := strings.TrimSpace(resp.Header.Get(headerAllowedRate))
	if text == "" || text == "*" {
		return math.Inf(1), nil
	}
	perMinute, err := strconv.ParseUint(text, 10, 32)
	if err != nil || perMinute == 0 {
		return 0, refused("its %s is %q", headerAllowedRate, text)
	}
	return float64(perMinute) / time.Minute.Seconds(), nil
}

// question is the request of a handshake: what the webhook sends anyway, but for the event.
func (s *Sender) question(ctx context.Context) *http.Request {
	header := s.header.Clone()
	for name := range header {
		if strings.EqualFold(name, "content-type") {
			delete(header, name)
		}
	}
	setExact(header, headerRequestOrigin, s.webhook.Handshake.Origin)
	if r := s.webhook.Rate; !r.IsZero() {
		setExact(header, headerRequestRate, strconv.Itoa(int(math.Ceil(r.PerSecond()*time.Minute.Seconds()))))
	}
	req := &http.Request{
		Method: http.MethodOptions, URL: s.url, Host: s.host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header, Body: http.NoBody,
	}
	return req.WithContext(ctx)
}

// allow takes the rate that the receiver allows; Inf is as many as one likes.
func (q *queue) allow(perSecond float64, now time.Time) {
	q.gate.Allow(perSecond)
	q.setPace(now)
}
