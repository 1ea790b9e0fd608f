package emitter_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// rig is a receiver on a real socket and a sender to it.
type rig struct {
	*hooktest.Receiver

	url     string
	secrets *setting.Secrets
	webhook emitter.Webhook
	post    outbound.PostOptions
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{
		Receiver: &hooktest.Receiver{Secrets: []string{secret}}, secrets: &setting.Secrets{}, webhook: emitter.DefaultWebhook(),
		post: outbound.PostOptions{MaxInFlight: 8},
	}
	server, err := hooktest.Serve(t.Context(), "127.0.0.1:0", r.Receiver)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	r.url = server.URL
	r.webhook.Name, r.webhook.URL = "app", server.URL+"/hooks"
	r.webhook.Secret = setting.SecretList{setting.NewSecret(secret)}
	return r
}

func (r *rig) sender(t *testing.T) *emitter.Sender {
	t.Helper()
	transport := outbound.NewPoster(r.post)
	t.Cleanup(transport.CloseIdleConnections)
	s, err := emitter.NewSender(emitter.SenderOptions{Webhook: r.webhook, Secrets: r.secrets, Transport: transport, Version: "1.0"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (r *rig) send(t *testing.T) emitter.Outcome {
	t.Helper()
	return r.sender(t).Send(t.Context(), delivery(1, "4711"))
}

func delivery(seq int64, key string) emitter.Delivery {
	return emitter.Delivery{
		Ref: emitter.Ref{Lane: emitter.Lane{Shard: 1, Webhook: "app"}, Seq: seq}, ID: fmt.Sprintf("evt_%d", seq), Source: "contacts", Key: key,
		Type: "contacts.updated", Sequence: seq, At: time.Now(),
		Body: fmt.Appendf(nil, `{"type":"contacts.updated","timestamp":"2026-11-23T12:00:00.123Z","data":{"source":"contacts","change":"updated","key":%q,"sequence":%d,`+
			`"record":{"n":9007199254740993,"p":1.10,"h":"<>&","u":"\u2028","d":1,"d":2}}}`, key, seq),
	}
}

// T9, D5, D11: what is signed, sent and received are the same bytes.
func TestT9D5D11ADeliveryArrivesAsTheContractSaysAndByteForByte(t *testing.T) {
	r := newRig(t)
	d := delivery(1, "4711")
	d.Attempts = 2
	before := time.Now()
	o := r.sender(t).Send(t.Context(), d)
	if o.Class != emitter.Delivered || o.Status != 200 || o.Reason != "" || o.Excerpt != "ok" || o.Took <= 0 || o.At.Before(before) {
		t.Fatalf("outcome %+v, problems %v", o, r.Problems())
	}
	req := r.Requests()[0]
	if string(req.Body) != string(d.Body) || req.Method != http.MethodPost || req.Path != "/hooks" {
		t.Errorf("request %s %s %s", req.Method, req.Path, req.Body)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "deltahook/1.0", "Webhook-Id": "evt_1", "Deltahook-Attempt": "3",
	} {
		if got := req.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if req.Header.Get("Accept-Encoding") != "" {
		t.Error("the sender asks for a compressed answer")
	}
}

// D9, D13, D15, T13: the status line decides, for every status there is.
func TestD9D13D15T13EveryStatusHasItsClass(t *testing.T) {
	r := newRig(t)
	var code atomic.Int64
	r.Set(func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.WriteHeader(int(code.Load()))
		return true
	})
	s := r.sender(t)
	for status := 200; status <= 999; status++ {
		code.Store(int64(status))
		o := s.Send(t.Context(), delivery(1, "k"))
		class, reason := emitter.Failed, emitter.ReasonStatusOther
		switch {
		case status <= 299:
			class, reason = emitter.Delivered, ""
		case status <= 399:
			reason = emitter.ReasonRedirect
		case status == 400, status == 413, status == 415, status == 422:
			class, reason = emitter.Rejected, emitter.ReasonStatus4xx
		case status == 410:
			class, reason = emitter.Gone, emitter.ReasonStatus4xx
		case status <= 499:
			reason = emitter.ReasonStatus4xx
		case status <= 599:
			reason = emitter.ReasonStatus5xx
		}
		if o.Class != class || o.Reason != reason || o.Status != status || (o.Error == "") != (class == emitter.Delivered) {
			t.Errorf("%d: %+v", status, o)
		}
	}
}

func TestASwitchOfProtocolsIsNoSuccess(t *testing.T) {
	r := newRig(t)
	r.webhook.URL = raw(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
	if o := r.send(t); o.Class != emitter.Failed || o.Status != 101 || o.Reason != emitter.ReasonStatusOther {
		t.Errorf("outcome %+v", o)
	}
}

// raw answers each connection with fixed bytes after the head of the request.
func raw(t *testing.T, answer string) string {
	t.Helper()
	l := listen(t)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 64<<10)
			_, _ = conn.Read(buf)
			_, _ = conn.Write([]byte(answer))
			_ = conn.Close()
		}
	}()
	return "http://" + l.Addr().String() + "/"
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// T12, D9: neither body nor headers travel on, and the failure says where the redirect leads.
func TestT12D9ARedirectIsAFailureAndIsNotFollowed(t *testing.T) {
	elsewhere := newRig(t)
	for _, status := range []int{301, 302, 303, 304, 307, 308} {
		r := newRig(t)
		r.webhook.Headers = map[string]string{"X-Api-Key": "very-secret-key"}
		for location, says := range map[string]string{
			elsewhere.url + "/other?token=x": "a redirect to " + strings.TrimPrefix(elsewhere.url, "http://") + " is not followed",
			"/moved":                         "a redirect to the same host",
			"http://[bad":                    "an address that cannot be read",
			"":                               "accepted by a 2xx only",
		} {
			r.Set(hooktest.Redirect(status, location))
			o := r.send(t)
			if o.Class != emitter.Failed || o.Reason != emitter.ReasonRedirect || !strings.Contains(o.Error, says) || strings.Contains(o.Error, "token") {
				t.Errorf("%d to %q: %+v", status, location, o)
			}
		}
		if r.Count() != 4 {
			t.Errorf("%d: %d requests to the receiver, want 4", status, r.Count())
		}
	}
	if elsewhere.Count() != 0 {
		t.Errorf("the other host got %v", elsewhere.Requests())
	}
}

// T8, D6: a 2xx is a 2xx, even when the connection breaks in its body.
func TestT8D6A2xxWhoseBodyBreaksOffIsDelivered(t *testing.T) {
	r := newRig(t)
	r.Set(hooktest.Cut(200))
	if o := r.send(t); o.Class != emitter.Delivered || o.Excerpt != "the begin" {
		t.Errorf("200 and cut: %+v", o)
	}
	r.Set(hooktest.Cut(500))
	if o := r.send(t); o.Class != emitter.Failed || o.Reason != emitter.ReasonStatus5xx || o.Excerpt != "the begin" {
		t.Errorf("500 and cut: %+v", o)
	}
}

// T15, D2, D10, D12, D13: no answer, however slow or long, holds an attempt or fills the memory.
func TestT15D2D10D12AnAnswerIsReadWithinBoundsOfTimeAndSize(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault hooktest.Fault
		class emitter.Class
	}{
		{"slow drip of 200", hooktest.Drip(200, 20*time.Millisecond), emitter.Delivered},
		{"slow drip of 500", hooktest.Drip(500, 20*time.Millisecond), emitter.Failed},
		{"endless 200", hooktest.Endless(200), emitter.Delivered},
		{"endless 500", hooktest.Endless(500), emitter.Failed},
		{"gzip bomb", hooktest.GzipBomb(500, 1<<30), emitter.Failed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.Set(tt.fault)
			o := r.send(t)
			if o.Class != tt.class || o.Took > 10*time.Second || // the timeout is 15 s
				len(o.Excerpt) > 4<<10 {
				t.Errorf("%s after %s, excerpt of %d bytes", o.Class, o.Took, len(o.Excerpt))
			}
		})
	}
}

func TestAReceiverThatHangsTimesOut(t *testing.T) {
	r := newRig(t)
	r.webhook.Timeout = setting.Duration(500 * time.Millisecond)
	r.Set(hooktest.Hang())
	o := r.send(t)
	if o.Class != emitter.Failed || o.Reason != outbound.FaultTimeout || o.Status != 0 || o.Error != "no answer within 500ms" || o.Took > time.Minute {
		t.Errorf("outcome %+v", o)
	}
}

func TestAnAttemptThatWeCancelIsAborted(t *testing.T) {
	r := newRig(t)
	r.Set(hooktest.Hang())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if o := r.sender(t).Send(ctx, delivery(1, "k")); o.Class != emitter.Aborted {
		t.Errorf("outcome %+v", o)
	}
}

// D3: a lost answer may hide a delivery: one attempt is one request.
func TestD3AFailedConnectionIsNotTriedAgainAtOnce(t *testing.T) {
	r := newRig(t)
	s := r.sender(t)
	if o := s.Send(t.Context(), delivery(1, "k")); o.Class != emitter.Delivered {
		t.Fatalf("outcome %+v", o)
	}
	r.Set(hooktest.Close())
	if o := s.Send(t.Context(), delivery(2, "k")); o.Class != emitter.Failed || o.Reason != outbound.FaultClosed {
		t.Errorf("outcome %+v", o)
	}
	if r.Count() != 2 {
		t.Errorf("%d requests, want 2", r.Count())
	}
}

func TestFaultsBelowHTTPHaveTheirReasons(t *testing.T) {
	tlsServer := httptest.NewUnstartedServer(http.NotFoundHandler())
	tlsServer.Config.ErrorLog = log.New(io.Discard, "", 0)
	tlsServer.StartTLS()
	defer tlsServer.Close()
	const closed = "127.0.0.1:1" // nobody listens there, and nobody is given it
	plain := newRig(t)
	tests := []struct {
		name, url, reason string
		edit              func(*rig)
	}{
		{name: "refused", url: "http://" + closed, reason: outbound.FaultConnect},
		{name: "unknown authority", url: tlsServer.URL, reason: outbound.FaultTLS},
		{name: "wrong name", url: tlsServer.URL, reason: outbound.FaultTLS, edit: func(r *rig) {
			r.post.TLS = &tls.Config{RootCAs: roots(tlsServer), ServerName: "other.example", MinVersion: tls.VersionTLS12}
		}},
		{name: "TLS to a plain server", url: strings.Replace(plain.url, "http:", "https:", 1), reason: outbound.FaultTLS},
		{name: "not HTTP", url: raw(t, "SSH-2.0-OpenSSH\r\n"), reason: outbound.FaultProtocol},
		{name: "no answer", url: raw(t, ""), reason: outbound.FaultClosed},
		{name: "proxy away", url: "http://receiver.example/", reason: outbound.FaultProxy, edit: func(r *rig) {
			r.webhook.URL = "https://receiver.example/"
			r.post.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: closed})
		}},
		{name: "metadata address", url: "http://169.254.169.254/latest/meta-data/", reason: outbound.FaultBlocked},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.webhook.URL = tt.url
			if tt.edit != nil {
				tt.edit(r)
			}
			o := r.send(t)
			if o.Class != emitter.Failed || o.Reason != tt.reason || o.Status != 0 || o.Error == "" || strings.Contains(o.Error, "http://") {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func roots(s *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

func TestHTTP2IsUsedWhereTheReceiverSpeaksIt(t *testing.T) {
	r := newRig(t)
	var proto atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		proto.Store(req.Proto)
		r.ServeHTTP(w, req)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	r.webhook.URL = server.URL
	r.post.TLS = &tls.Config{RootCAs: roots(server), MinVersion: tls.VersionTLS12}
	if o := r.send(t); o.Class != emitter.Delivered || proto.Load() != "HTTP/2.0" {
		t.Errorf("outcome %+v over %v", o, proto.Load())
	}
}

// T31: a legacy receiver may look for a header in exactly one spelling.
func TestT31CustomHeadersKeepTheirSpelling(t *testing.T) {
	l := listen(t)
	heads := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		var head strings.Builder
		for in := bufio.NewScanner(conn); in.Scan() && in.Text() != ""; {
			head.WriteString(in.Text() + "\n")
		}
		_, _ = conn.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
		heads <- head.String()
	}()
	r := newRig(t)
	r.webhook.URL = "http://" + l.Addr().String() + "/"
	r.webhook.Headers = map[string]string{"SOAPAction": "urn:x", "x-lower": "1", "host": "virtual.example", "user-agent": "legacy/1", "content-type": "text/json"}
	if o := r.send(t); o.Class != emitter.Delivered {
		t.Fatalf("outcome %+v", o)
	}
	head := <-heads
	for _, line := range []string{
		"SOAPAction: urn:x\n", "x-lower: 1\n", "Host: virtual.example\n", "User-Agent: legacy/1\n", "content-type: text/json\n", "webhook-id: evt_1\n", "deltahook-attempt: 1\n",
	} {
		if !strings.Contains(head, "\n"+line) {
			t.Errorf("no %q in\n%s", line, head)
		}
	}
	if strings.Count(strings.ToLower(head), "user-agent:") != 1 || strings.Count(strings.ToLower(head), "content-type:") != 1 {
		t.Errorf("a header stands there twice:\n%s", head)
	}
}

// T29: what a receiver echoes, and what a header carries, stays out of logs and of the history.
func TestT29SecretsAreTakenOutOfErrorsAndExcerpts(t *testing.T) {
	r := newRig(t)
	r.webhook.Headers = map[string]string{"Authorization": "Bearer echo-me-not"}
	r.Set(func(w http.ResponseWriter, req *http.Request, _ int) bool {
		http.Error(w, "bad token "+req.Header.Get("Authorization")+" or "+secret+"\x00", http.StatusForbidden)
		return true
	})
	o := r.send(t)
	if o.Class != emitter.Failed || o.Excerpt != "bad token (secret) or (secret)\n" {
		t.Errorf("excerpt %q", o.Excerpt)
	}
}

// T16, D10, D12: connections are kept, as many as there are attempts at a time.
func TestT16D10D12ConnectionsAreKept(t *testing.T) {
	r := newRig(t)
	var conns atomic.Int64
	server := httptest.NewUnstartedServer(r.Receiver)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	r.webhook.URL = server.URL
	s := r.sender(t)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				if o := s.Send(t.Context(), delivery(int64(w*50+i+1), strconv.Itoa(w))); o.Class != emitter.Delivered {
					t.Errorf("outcome %+v", o)
				}
			}
		})
	}
	wg.Wait()
	if n := conns.Load(); n > 16 { // a dial may lose against a connection that comes free
		t.Errorf("400 deliveries, 8 at a time, took %d connections", n)
	}
}

// T11: a clock that is wrong shows before receivers refuse what it signs.
func TestT11TheClockOfTheReceiverIsCompared(t *testing.T) {
	r := newRig(t)
	for skew, want := range map[time.Duration]bool{0: false, time.Hour: true, -10 * time.Minute: true} {
		r.Set(func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.Header().Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
			return true
		})
		o := r.send(t)
		if (o.Skew != 0) != want || want && (o.Skew-skew).Abs() > time.Minute {
			t.Errorf("a clock that is %s off was measured as %s", skew, o.Skew)
		}
	}
}

func TestRetryAfterComesWithAnyFailureButNotWithASuccess(t *testing.T) {
	r := newRig(t)
	for status, want := range map[int]time.Duration{200: 0, 404: time.Minute, 429: time.Minute, 500: time.Minute, 503: time.Minute, 302: time.Minute} {
		r.Set(hooktest.RetryAfter(status, "60"))
		if o := r.send(t); o.RetryAfter != want {
			t.Errorf("%d: %s", status, o.RetryAfter)
		}
	}
}

// T14, D1, D16: in whatever form a receiver writes it, the wait is not shortened, and the day is its cap.
func TestT14D1D16RetryAfterComesThroughInEachForm(t *testing.T) {
	r := newRig(t)
	for _, form := range hooktest.RetryForms(time.Now()) {
		r.Set(hooktest.RetryAfter(http.StatusServiceUnavailable, form.Value))
		var late time.Duration
		if strings.HasPrefix(form.Name, "date") { // it is relative to the Date of the answer, which is later than that of the form
			late = 30 * time.Second
		}
		if o := r.send(t); o.RetryAfter > form.Wait || o.RetryAfter < form.Wait-late {
			t.Errorf("%s, %q: %s, want %s", form.Name, form.Value, o.RetryAfter, form.Wait)
		}
	}
}

func TestAChangedSecretFileSignsTheNextAttempt(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(emitter.GenerateSecret() + "\n")
	r.webhook.Secret = setting.SecretList{setting.NewSecret("file:" + file)}
	s := r.sender(t)
	if o := s.Send(t.Context(), delivery(1, "k")); o.Status != http.StatusUnauthorized {
		t.Fatalf("another secret: %+v", o)
	}
	write(secret)
	time.Sleep(1100 * time.Millisecond) // secrets are looked at again after a second
	if o := s.Send(t.Context(), delivery(1, "k")); o.Class != emitter.Delivered {
		t.Errorf("the new secret: %+v", o)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	if o := s.Send(t.Context(), delivery(1, "k")); o.Class != emitter.Withheld || o.Reason != emitter.ReasonSign || r.Count() != 2 {
		t.Errorf("no secret: %+v, %d requests", o, r.Count())
	}
}
