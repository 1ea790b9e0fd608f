// Command go receives the webhooks of deltahook: it verifies them (Standard Webhooks v1), drops duplicates and outdated
// states, and prints one line for each event. It uses the standard library alone.
package main

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	tolerance = 5 * time.Minute // how far webhook-timestamp may be from our clock
	maxBody   = 16 << 20
)

func main() {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("WEBHOOK_SECRET"), "whsec_"))
	if err != nil || len(key) == 0 {
		log.Fatal("set WEBHOOK_SECRET to the secret that deltahook signs with: whsec_…")
	}
	addr := cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:8080")
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", ln.Addr())
	server := &http.Server{Handler: &receiver{key: key, done: map[string]bool{}, last: map[string]int64{}}, ReadTimeout: 30 * time.Second}
	log.Fatal(server.Serve(ln))
}

type receiver struct {
	key []byte

	mu   sync.Mutex
	done map[string]bool  // webhook-ids that were handled; keep yours in the database, for as long as deltahook may replay
	last map[string]int64 // sequence of the newest state we have, by record; a column of the record in yours
}

func (rc *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The signature is over the raw bytes: read them before anything parses them.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := verify(rc.key, r.Header, body, time.Now()); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	if err := rc.handle(r.Header.Get("webhook-id"), body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func verify(key []byte, h http.Header, body []byte, now time.Time) error {
	id, timestamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > tolerance {
		return errors.New("webhook-timestamp is missing or not of now")
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for signature := range strings.FieldsSeq(h.Get("webhook-signature")) { // several while a secret is rotated
		if hmac.Equal([]byte(signature), want) { // in constant time
			return nil
		}
	}
	return errors.New("webhook-signature does not match")
}

// handle does the work of one event, exactly once and never backwards. In yours the work, done and last are one transaction.
func (rc *receiver) handle(id string, body []byte) error {
	var event struct {
		Type string `json:"type"`
		Data struct {
			Source   string          `json:"source"`
			Key      string          `json:"key"`
			Sequence int64           `json:"sequence"`
			Record   json.RawMessage `json:"record"` // raw: 9007199254740993 stays what it is
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return err
	}
	record := event.Data.Source + "\x00" + event.Data.Key
	rc.mu.Lock()
	defer rc.mu.Unlock()
	verdict := "applied"
	switch {
	case rc.done[id]:
		verdict = "duplicate" // at least once: it may come again
	case event.Data.Sequence > 0 && event.Data.Sequence <= rc.last[record]:
		verdict = "outdated" // a newer state of this record is here already
	default:
		rc.done[id], rc.last[record] = true, event.Data.Sequence
	}
	fmt.Printf("%s %s key=%q sequence=%d %s\n", verdict, event.Type, event.Data.Key, event.Data.Sequence, id)
	return nil
}
