package emitter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Bounds on what is read of an answer whose status is known already.
const (
	excerptFailed    = 4 << 10
	excerptDelivered = 512
	drainBytes       = 64 << 10    // more is not worth keeping the connection for
	drainTime        = time.Second // from the status line on
)

// answer makes an outcome of an answer. The status line has decided; the body is read for people, for a short time and up to
// a bound, whatever becomes of it.
func (s *Sender) answer(resp *http.Response) Outcome {
	now := time.Now()
	o := Outcome{Status: resp.StatusCode}
	o.Skew, o.Dated = s.clockSkew(resp.Header, now)
	o.Class, o.Reason = classOf(resp.StatusCode)
	if o.Class == Delivered && !s.webhook.SuccessWhen.IsZero() {
		return s.condition(resp, o)
	}
	limit := excerptDelivered
	if o.Class != Delivered {
		limit = excerptFailed
		o.Error = statusText(resp)
		o.RetryAfter = retryAfter(resp.Header, now)
	}
	if resp.Body == http.NoBody {
		return o
	}
	if n := resp.ContentLength; n >= 0 && n < int64(limit) {
		limit = int(n) + 1 // one more shows the end, so that the connection is kept
	}
	if o.Excerpt = excerpt(resp.Body, limit); o.Excerpt != "" {
		o.Excerpt = s.secrets.RedactHead(o.Excerpt)
	}
	return o
}

// condition decides by the body of a 2xx. Without the whole body, within the time of the attempt, there is no success: the
// event is sent again rather than lost.
func (s *Sender) condition(resp *http.Response, o Outcome) Outcome {
	body, err := io.ReadAll(io.LimitReader(resp.Body, drainBytes+1))
	o.Excerpt = s.secrets.RedactHead(excerpt(bytes.NewReader(body), excerptDelivered))
	when := s.webhook.SuccessWhen
	switch {
	case err != nil:
		o.Error = statusText(resp) + ", but its answer cannot be read to the end"
	case len(body) > drainBytes:
		o.Error = statusText(resp) + ", but its answer is too long to tell"
	case !json.Valid(body):
		o.Error = statusText(resp) + ", but its answer is not JSON, and " + when.String() + " has to hold"
	case when.Match(body):
		return o
	default:
		o.Error = statusText(resp) + ", but " + when.String() + " does not hold for its answer"
	}
	o.Class, o.Reason = Failed, ReasonAnswer
	o.Error = s.secrets.Redact(o.Error)
	o.RetryAfter = retryAfter(resp.Header, time.Now())
	return o
}

// excerpt reads the start of a body as text, and the rest up to a bound so that the connection can be used again.
func excerpt(body io.Reader, limit int) string {
	head := make([]byte, limit)
	n, err := io.ReadFull(body, head)
	if err == nil {
		_, _ = io.CopyN(io.Discard, body, drainBytes)
	}
	text := strings.ToValidUTF8(string(head[:n]), "\uFFFD")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "")
	}
	return strings.ReplaceAll(text, "\x00", "")
}

func statusText(resp *http.Response) string {
	text := fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if _, reason := classOf(resp.StatusCode); reason != ReasonRedirect {
		return strings.TrimSpace(text)
	}
	if resp.Header.Get("Location") == "" { // 304, too, for which whoever posts has no use
		return text + ": an event is accepted by a 2xx only"
	}
	target := "an address that cannot be read"
	if u, err := url.Parse(resp.Header.Get("Location")); err == nil {
		target = u.Host
	}
	if target == "" {
		target = "the same host"
	}
	return text + ": a redirect to " + target + " is not followed; put the final address into url"
}
