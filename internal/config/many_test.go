package config

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

// A configuration of a hundred thousand sources is a long one, not one that takes hours: what a source costs does not depend on how many
// others there are.
func TestASourceCostsAsMuchAmongManyAsAmongFew(t *testing.T) {
	each := func(sources int) uint64 {
		var text strings.Builder
		for i := range sources {
			fmt.Fprintf(&text, "[source.s%d]\nurl = \"https://api.example.com/s%d\"\nevery = \"1h\"\nkey = \"id\"\n", i, i)
		}
		text.WriteString("[webhook.app]\nurl = \"https://example.com/\"\nsecret = \"whsec_ZGVsdGFob29rIGRlbW8gc2VjcmV0LCBub3QgeW91cnM=\"\n")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, report := Parse([]File{{Path: "many.toml", Text: []byte(text.String())}}, &setting.Secrets{})
		runtime.ReadMemStats(&after)
		if err := report.Err(); err != nil {
			t.Fatal(err)
		}
		return (after.TotalAlloc - before.TotalAlloc) / uint64(sources)
	}
	each(10)
	few, many := each(200), each(2000)
	if many > few*3/2 {
		t.Errorf("of 200 sources each takes %d bytes to read, of 2,000 each %d", few, many)
	}
}

// What a reload compares, and the web page shows, is made for every source at the start.
func TestTheSettingsOfASourceAreMadeOfLittle(t *testing.T) {
	const sources, most = 100, 512 << 10 // about 30 KiB; a few times that under the race detector, where pools forget
	c := &Config{}
	for i := range sources {
		s := poller.DefaultSource()
		s.Name, s.URL = fmt.Sprint("s", i), "https://api.example.com/list?page=1"
		c.Sources = append(c.Sources, &s)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	all := Settings(c)
	runtime.ReadMemStats(&after)
	each := (after.TotalAlloc - before.TotalAlloc) / sources
	t.Logf("%d bytes each", each)
	if each > most || len(all) < sources {
		t.Errorf("the settings of a source take %d bytes to make", each)
	}
}

func TestNamesAreOfTheContract(t *testing.T) {
	for text, want := range map[string]bool{
		"a": true, "a1_-": true, "source-of_2026": true, strings.Repeat("x", 63): true,
		"": false, "A": false, "1a": false, "-a": false, "aÄ": false, "a b": false, "a.b": false, strings.Repeat("x", 64): false, "Äa": false, "aBa": false,
	} {
		if isName(text) != want {
			t.Errorf("isName(%q) is %t", text, !want)
		}
	}
}
