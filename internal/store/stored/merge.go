package stored

import (
	"encoding/binary"
	"strings"

	"github.com/deltahook/deltahook/differ"
)

// Reasons of merged deliveries, for people.
const (
	ReasonAbsorbed  = "its change goes out with an earlier event of the record"
	ReasonReplaced  = "the record was deleted before it went out"
	ReasonCancelled = "the record is again as it was before: nothing went out"
)

// Loose hashes source and key of a record, as an index of what may still be merged knows it; it is never 0.
func Loose(h *differ.Hasher, source, key string) int64 {
	hash := h.Key([]byte(source + "\x00" + key))
	return max(1, int64(binary.BigEndian.Uint64(hash[:])>>1))
}

// ExcerptLimit bounds what is kept of an answer, and of the headers of a request.
const ExcerptLimit = 4 << 10

// KeptAttempts is how many attempts of a delivery stay listed, KeptPolls how many polls of a source.
const (
	KeptAttempts = 100
	KeptPolls    = 200
)

// Clip bounds a text without cutting a character in two.
func Clip(text string) string {
	if len(text) <= ExcerptLimit {
		return text
	}
	return strings.ToValidUTF8(text[:ExcerptLimit], "")
}

// Clean makes a text for people one that PostgreSQL takes: it knows neither the character 0 nor what is not UTF-8.
func Clean(text string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\uFFFD"), "\uFFFD")
}
