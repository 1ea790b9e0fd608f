package auth

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/outbound"
)

// MaxHead is the size up to which an answer can say that a session has expired. What is longer is data.
const MaxHead = 64 << 10

// Peek reads the beginning of a body. It gives as head the whole body, or nil when that is longer than MaxHead or cannot be read; all
// reads the whole body, its error included.
func Peek(body io.Reader) (head []byte, all io.Reader) {
	head, err := io.ReadAll(io.LimitReader(body, MaxHead+1))
	all = bytes.NewReader(head)
	switch {
	case err != nil:
		return nil, io.MultiReader(all, broken{err})
	case len(head) > MaxHead:
		return nil, io.MultiReader(all, body)
	}
	return head, all
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// verdict is what an answer says of the proof that was sent.
type verdict uint8

const (
	accepted verdict = iota
	refused
	forbidden // refused, but perhaps for what was asked rather than for who asks
	limited   // nothing: the server has had enough
)

// judge reads an answer. The statuses are those that mean an expired session besides 401 and 403.
func judge(a Answer, statuses []int, expired differ.Condition) verdict {
	switch {
	case a.Limited, outbound.Refused(a.Status, a.Header) && a.Status == http.StatusForbidden:
		return limited
	case slices.Contains(statuses, a.Status), a.Status == http.StatusUnauthorized:
		return refused
	case len(a.Head) > 0 && expired.Match(document(a.Head)): // with any status: a SOAP fault comes with 500
		return refused
	case a.Status == http.StatusForbidden:
		return forbidden
	case a.Status == http.StatusTooManyRequests, a.Status >= 500:
		return limited
	}
	return accepted
}

// document gives an answer as JSON: itself, or as one string when it is something else, like a login page.
func document(head []byte) []byte {
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	if json.Valid(head) {
		return head
	}
	text, err := json.Marshal(string(head))
	if err != nil {
		return nil
	}
	return text
}
