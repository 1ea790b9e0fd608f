package differ

import (
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Hashes are stored: these values may never change.
func TestHashesAreTheSameForEver(t *testing.T) {
	seed := Seed{}
	for i := range seed {
		seed[i] = byte(i)
	}
	h := NewHasher(seed)
	shape := &Shape{}
	for _, c := range []struct{ text, key, raw, canon string }{
		{`4711`, "752ecb5ec94a57dc12144433a74c4871", "752ecb5ec94a57dc", "752ecb5ec94a57dc"},
		{`{"b": 1.10, "a": "\u00e9"}`, "f1191a9012970f8e6a082b86533f097c", "f1191a9012970f8e", "8e908e1f6cc573fb"},
	} {
		key := h.Key([]byte(c.text))
		if got := hex.EncodeToString(key[:]); got != c.key {
			t.Errorf("key of %q: %s", c.text, got)
		}
		if got := fmt.Sprintf("%016x", h.Raw([]byte(c.text))); got != c.raw {
			t.Errorf("raw of %q: %s", c.text, got)
		}
		if got := fmt.Sprintf("%016x", h.Canon(shape, []byte(c.text))); got != c.canon {
			t.Errorf("canonical of %q: %s", c.text, got)
		}
	}
}

func TestHashesDependOnTheSeedAndOnEveryByte(t *testing.T) {
	a, b := NewHasher(Seed{1}), NewHasher(Seed{2})
	seen := map[Hash]string{}
	note := func(id string, h *Hasher, text []byte) {
		key := h.Key(text)
		if was, ok := seen[key]; ok {
			t.Fatalf("%s and %s collide", was, id)
		}
		seen[key] = id
	}
	for n := range 300 {
		text := make([]byte, n)
		note(fmt.Sprintf("a, %d zeros", n), a, text)
		note(fmt.Sprintf("b, %d zeros", n), b, text)
		for i := range text {
			text[i] = 1
			note(fmt.Sprintf("a, %d with a bit at %d", n, i), a, text)
			text[i] = 0
		}
	}
}

func TestHashersOfOneSeedAgree(t *testing.T) {
	want := NewHasher(Seed{7}).Key([]byte("x"))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			h := NewHasher(Seed{7})
			for range 1000 {
				if h.Key([]byte("x")) != want {
					t.Error("another hash")
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestHashingDoesNotAllocate(t *testing.T) {
	h := NewHasher(Seed{})
	shape := compile(t, Spec{Ignore: paths("updated_at"), Unordered: paths("tags")})
	rec := []byte(smallRecord(1))
	var sum uint64
	run := func() {
		key := h.Key(rec[:10])
		sum += h.Raw(rec) + h.Canon(shape, rec) + uint64(key[0])
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLargeScratchIsGivenBack(t *testing.T) {
	h := NewHasher(Seed{})
	h.Canon(&Shape{}, []byte("["+strings.Repeat(`"text",`, scratchLimit/7+1)+"1]"))
	if cap(h.tree.items) > 0 || cap(h.canon) > scratchLimit {
		t.Errorf("%d items and %d bytes are kept", cap(h.tree.items), cap(h.canon))
	}
}
