package differ

import "testing"

func TestARecordInItsUsualPlaceIsRecognisedByItsBytes(t *testing.T) {
	x := NewIndex(3)
	hashes := []Hash{{1}, {2}, {3}}
	for i, h := range hashes {
		x.Put(h, Print{Raw: uint64(i + 10)}, 0)
	}
	x.Begin()
	if h, same := x.SeeNext(10); !same || h != hashes[0] {
		t.Errorf("the first record is %v, %t", h, same)
	}
	if _, same := x.SeeNext(10); same {
		t.Error("a copy of the first record is taken for the second")
	}
	if _, same := x.SeeNext(99); same {
		t.Error("other bytes are taken for the second record")
	}
	if s, _ := x.See(hashes[1], 99); s != Differs {
		t.Errorf("the second record is %v", s)
	}
	if h, same := x.SeeNext(12); !same || h != hashes[2] {
		t.Errorf("the third record is %v, %t", h, same)
	}
	if _, same := x.SeeNext(12); same {
		t.Error("there is a record behind the last one")
	}
	x.Unseen(func(h Hash, _ Print, _ int) bool {
		t.Errorf("%v was not marked", h)
		return true
	})
}

func TestARecordThatWasSeenIsNotSeenNext(t *testing.T) {
	x := NewIndex(2)
	x.Put(Hash{1}, Print{Raw: 1}, 0)
	x.Put(Hash{2}, Print{Raw: 2}, 0)
	x.Begin()
	x.See(Hash{2}, 2)
	x.See(Hash{1}, 1) // the place behind it is that of the other one
	if _, same := x.SeeNext(2); same {
		t.Error("a record was seen twice")
	}
}
