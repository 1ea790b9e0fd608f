package hooktest_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/hooktest"
)

func body(seq int, change, key, record string) []byte {
	return fmt.Appendf(nil, `{"type":"s.%s","timestamp":"2026-01-01T00:00:00.000Z","data":{"source":"s","change":%q,"key":%q,"sequence":%d,"record":%s}}`,
		change, change, key, seq, record)
}

func apply(t *testing.T, r *hooktest.Replica, seq int, change, key, record string) {
	t.Helper()
	if _, fresh, err := r.Apply("evt_"+strconv.Itoa(seq), body(seq, change, key, record)); err != nil || !fresh {
		t.Fatalf("apply %d: fresh %v, %v", seq, fresh, err)
	}
}

func TestAReplicaHoldsTheLastStateOfEachRecordByteForByte(t *testing.T) {
	var r hooktest.Replica
	apply(t, &r, 1, "created", "a", `{"n":1.10}`)
	apply(t, &r, 3, "deleted", "b", `{}`)
	apply(t, &r, 4, "updated", "a", `{"n": 9007199254740993}`)
	got := r.Records("s")
	if len(got) != 1 || string(got["a"]) != `{"n": 9007199254740993}` {
		t.Fatalf("records %s", got)
	}
	if gaps := r.Missing("s"); len(gaps) != 1 || gaps[0] != 2 {
		t.Fatalf("missing %v, want [2]", gaps)
	}
}

func TestAnEarlierEventOfARecordDoesNotOverwriteALaterOneAndIsCounted(t *testing.T) {
	var r hooktest.Replica
	apply(t, &r, 2, "deleted", "a", `{"v":2}`)
	apply(t, &r, 1, "created", "a", `{"v":1}`)
	if len(r.Records("s")) != 0 || r.Report().Inversions != 1 {
		t.Fatalf("records %s, report %+v", r.Records("s"), r.Report())
	}
}

func TestADuplicateIsCountedAndADifferentBodyUnderItsIDIsAnError(t *testing.T) {
	var r hooktest.Replica
	apply(t, &r, 1, "created", "a", `{}`)
	if _, fresh, err := r.Apply("evt_1", body(1, "created", "a", `{}`)); fresh || err != nil {
		t.Fatalf("duplicate: fresh %v, %v", fresh, err)
	}
	if _, _, err := r.Apply("evt_1", body(1, "created", "a", `{"other":1}`)); err == nil {
		t.Fatal("two bodies under one id were accepted")
	}
	if _, _, err := r.Apply("evt_9", body(1, "created", "a", `{}`)); err == nil {
		t.Fatal("two ids of one sequence were accepted")
	}
	if rep := r.Report(); rep.Events != 1 || rep.Duplicates != 1 || rep.ByChange["created"] != 1 {
		t.Fatalf("report %+v", rep)
	}
}

func serve(t *testing.T, r *hooktest.Receiver) *hooktest.Server {
	t.Helper()
	s, err := hooktest.Serve(t.Context(), "127.0.0.1:0", r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// post gives the status and the Retry-After of the answer.
func post(t *testing.T, url, secret string, payload []byte) (status int, after string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := emitter.NewSigner(emitter.SignOptions{Style: "standard", Keys: []emitter.SigningKey{{Secret: secret}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := signer.Sign(req.Header, &emitter.Message{ID: "evt_1", At: time.Now(), Body: payload}); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header.Get("Retry-After")
}

func TestAReceiverRefusesWhatDoesNotVerifyAndSaysWhy(t *testing.T) {
	secret := emitter.GenerateSecret()
	r := &hooktest.Receiver{Secrets: []string{secret}}
	s := serve(t, r)
	if status, _ := post(t, s.URL, secret, body(1, "created", "a", `{}`)); status != http.StatusOK {
		t.Fatalf("a signed request got %d", status)
	}
	if status, _ := post(t, s.URL, emitter.GenerateSecret(), body(1, "created", "a", `{}`)); status != http.StatusUnauthorized {
		t.Fatalf("a wrongly signed request got %d", status)
	}
	if len(r.Problems()) != 1 || r.Count() != 2 || r.Replica.Report().Events != 1 {
		t.Fatalf("problems %v, count %d, report %+v", r.Problems(), r.Count(), r.Replica.Report())
	}
}

func TestFaultsAnswerInsteadOfTheReceiverAndLostOnesAfterIt(t *testing.T) {
	secret := emitter.GenerateSecret()
	r := &hooktest.Receiver{Secrets: []string{secret}}
	s := serve(t, r)
	r.Set(hooktest.First(1, hooktest.RetryAfter(http.StatusServiceUnavailable, "7")))
	if status, after := post(t, s.URL, secret, body(1, "created", "a", `{}`)); status != 503 || after != "7" {
		t.Fatalf("got %d, Retry-After %q", status, after)
	}
	if r.Replica.Report().Events != 0 {
		t.Fatal("a fault let the event through")
	}
	r.Set(nil)
	r.SetLost(hooktest.Status(http.StatusBadGateway))
	if status, _ := post(t, s.URL, secret, body(1, "created", "a", `{}`)); status != 502 || r.Replica.Report().Events != 1 {
		t.Fatalf("got %d, report %+v", status, r.Replica.Report())
	}
}
