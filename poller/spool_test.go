package poller

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"testing"

	"github.com/deltahook/deltahook/differ"
)

func TestTheSpoolGivesBackWhatItWasGiven(t *testing.T) {
	for _, limit := range []int{0, 500, spoolMemory} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			dir := t.TempDir()
			s := newSpool(dir)
			s.limit = limit
			var want []*entry
			for i := range 50 {
				e := &entry{
					kind: differ.Kind(i % 4), quiet: i%3 == 0, key: fmt.Appendf(nil, "key %d", i),
					known: Known{Hash: differ.Hash{byte(i), 1}, Print: differ.Print{Raw: uint64(i), Canon: 1 << 63}, Missing: i % 100},
				}
				if i%2 == 0 {
					e.body = fmt.Appendf(nil, `{"id":%d}`, i)
					e.delta = differ.Delta{Previous: []byte(`{"a":1}`), Changed: []string{"a", "b.c"}}
				}
				want = append(want, e)
				if err := s.add(e); err != nil {
					t.Fatal(err)
				}
			}
			i := 0
			err := s.each(func(e *entry) error {
				if !reflect.DeepEqual(e, want[i]) {
					t.Errorf("entry %d is %+v, want %+v", i, e, want[i])
				}
				i++
				return nil
			})
			if err != nil || i != 50 || s.count != 50 {
				t.Errorf("%d entries, %v", i, err)
			}
			if limit == 0 {
				if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
					t.Errorf("the file still has a name: %v %v", names, err)
				}
			}
			s.close()
			leftovers(t, dir)
		})
	}
}

func TestASpoolThatCannotWriteSaysSo(t *testing.T) {
	s := newSpool("/nonexistent/directory")
	s.limit = 0
	if err := s.add(&entry{}); err == nil {
		t.Error("no error")
	}
}
