package poller

import "testing"

func TestWhatIsCountedBeginsWhereItsKindBeginsUnlessItIsSaid(t *testing.T) {
	for _, c := range []struct {
		text, kind string
		want       int
	}{{"", "page", 1}, {"", "offset", 0}, {"0", "page", 0}, {"1", "page", 1}, {"0", "offset", 0}, {"1", "offset", 1}} {
		var f First
		if c.text != "" {
			if err := f.UnmarshalText([]byte(c.text)); err != nil {
				t.Fatal(err)
			}
		}
		if got := f.Of(c.kind); got != c.want || f.String() != c.text {
			t.Errorf("start = %q of %s: %d (%q), want %d", c.text, c.kind, got, f, c.want)
		}
	}
	for _, text := range []string{"", "-1", "one", "1000001", "1.5"} {
		if f := FirstIs(7); f.UnmarshalText([]byte(text)) == nil || f != FirstIs(7) {
			t.Errorf("%q was taken for a number: %s", text, f)
		}
	}
}
