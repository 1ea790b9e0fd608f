package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

// entry is one key of the reference.
type entry struct {
	table  string
	path   []string // from the table
	active bool
	value  string
	why    string
}

// reference reads config.toml: its text, and each key that it has, behind "#" or not.
func reference(t *testing.T) (text string, entries []entry) {
	t.Helper()
	raw, err := os.ReadFile("../../config.toml")
	if err != nil {
		t.Fatal(err)
	}
	header := regexp.MustCompile(`^\[(source\.self|webhook\.app|host\."[^"]+"|[a-z]+)(?:\.([a-z]+))?\]$`)
	line := regexp.MustCompile(`^(# )?([a-z0-9_]+) += (.*?) +# (.+)$`)
	var table string
	var sub []string
	for l := range strings.Lines(string(raw)) {
		l = strings.TrimRight(l, "\n")
		if m := header.FindStringSubmatch(l); m != nil {
			table, sub = m[1], nil
			if m[2] != "" {
				sub = []string{m[2]}
			}
			continue
		}
		m := line.FindStringSubmatch(l)
		if m != nil {
			entries = append(entries, entry{table: table, path: append(slices.Clone(sub), m[2]), active: m[1] == "", value: m[3], why: m[4]})
		} else if l != "" && !strings.HasPrefix(l, "#") || regexp.MustCompile(`^# ?[a-z0-9_]+ += `).MatchString(l) {
			t.Errorf("a key without a reason, or something else: %s", l)
		}
	}
	return string(raw), entries
}

// hostTable is the example of a host.
const hostTable = `host."127.0.0.1:9644"`

// defaultsOf gives what the code says of each table.
func defaultsOf(table string) any {
	switch table {
	case "source.self":
		return poller.DefaultSource()
	case "webhook.app":
		return emitter.DefaultWebhook()
	case hostTable:
		return poller.DefaultHost()
	case kindStore:
		return DefaultStore()
	case kindAdmin:
		return DefaultAdmin()
	case kindLog:
		return DefaultLog()
	case kindAlerts:
		return DefaultAlerts()
	}
	return nil
}

func TestTheReferenceRunsOnAMachineWhereNothingIsSet(t *testing.T) {
	text, _ := reference(t)
	c, report := Parse([]File{{Path: "config.toml", Text: []byte(text)}}, &setting.Secrets{})
	if c == nil || report.Warnings() != 1 || !strings.Contains(report.Problems[0].Message, "secret") {
		t.Fatalf("%s%s; it should warn of the secret and of nothing else", report, report.Summary())
	}
	if s, ok := c.Source("self"); !ok || !strings.HasPrefix(s.URL, "http://"+c.Admin.Listen+"/") {
		t.Errorf("the source does not poll what is there: %+v", s)
	}
}

func TestTheReferenceHasEveryKeyAndNoOther(t *testing.T) {
	_, entries := reference(t)
	have := map[string]int{}
	for _, e := range entries {
		have[e.table+"."+strings.Join(e.path, ".")]++
	}
	want := map[string]int{}
	for _, table := range []string{"source.self", "webhook.app", hostTable, kindStore, kindAdmin, kindLog, kindAlerts} {
		keysUnder(table, reflect.TypeOf(defaultsOf(table)), want)
	}
	for k, n := range have {
		if n != 1 || want[k] != 1 {
			t.Errorf("%s stands there %d times, and the code knows it %d times", k, n, want[k])
		}
	}
	for k := range want {
		if have[k] == 0 {
			t.Errorf("%s is missing", k)
		}
	}
}

func keysUnder(prefix string, t reflect.Type, all map[string]int) {
	for _, f := range fieldsOf(t) {
		if ft := t.Field(f.index).Type; isTable(ft) {
			keysUnder(prefix+"."+f.key, ft, all)
		} else {
			all[prefix+"."+f.key]++
		}
	}
}

func TestTheReferenceStatesTheDefaultsOfTheCode(t *testing.T) {
	_, entries := reference(t)
	for _, e := range entries {
		if err := checkEntry(e); err != nil {
			t.Errorf("[%s] %s = %s: %v", e.table, strings.Join(e.path, "."), e.value, err)
		}
	}
}

// checkEntry binds the value of an entry over the defaults and compares.
func checkEntry(e entry) error {
	target := reflect.New(reflect.TypeOf(defaultsOf(e.table)))
	target.Elem().Set(reflect.ValueOf(defaultsOf(e.table)))
	fallback := valueAt(target.Elem(), e.path)
	shownDefault := fmt.Sprint(shown("", fallback))
	none := isEmpty(fallback, nil)

	text := strings.Join(e.path, ".") + " = " + e.value
	tree := map[string]any{}
	if _, err := toml.Decode(text, &tree); err != nil {
		return err
	}
	doc := &document{file: "config.toml", text: text}
	b := &binding{doc: doc, label: "[" + e.table + "]", root: scan(text).root, found: &findings{}}
	b.bind(tree, target.Interface())
	if r := b.found.report(func(s string) string { return s }); len(r.Problems) > 0 {
		return r.Err()
	}
	same := fmt.Sprint(shown("", valueAt(target.Elem(), e.path))) == shownDefault
	says := strings.HasPrefix(e.why, fmt.Sprintf("default %q", shownDefault))
	saysNone := strings.HasPrefix(e.why, "no default")
	switch {
	case same && (says || saysNone):
		return fmt.Errorf("it is the default, and the reason says %q", e.why)
	case !same && none && !saysNone:
		return fmt.Errorf("there is no default, and the reason says %q", e.why)
	case !same && !none && (!says || !e.active):
		return fmt.Errorf("the default is %s", shownDefault)
	}
	return nil
}

func valueAt(v reflect.Value, path []string) reflect.Value {
	for _, name := range path {
		for _, f := range fieldsOf(v.Type()) {
			if f.key == name {
				v = v.Field(f.index)
				break
			}
		}
	}
	return v
}
