package config

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

// schema is a JSON object whose members keep their order.
type schema []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members in their order.
func (s schema) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	for i, m := range s {
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%c%q:%s", "{,"[min(i, 1)], m.name, value)
	}
	if len(s) == 0 {
		b.WriteByte('{')
	}
	return []byte(b.String() + "}"), nil
}

// maker makes the schema of what the code says (types, words that a key takes) and of what config.toml says (why a key is there).
type maker struct {
	t   *testing.T
	why map[string]string // by table and path
	// asked are the words that keys were found to take.
	asked map[string][]string
}

func newMaker(t *testing.T) *maker {
	t.Helper()
	_, entries := reference(t)
	m := &maker{t: t, why: map[string]string{}, asked: map[string][]string{}}
	for _, e := range entries {
		m.why[e.table+"."+strings.Join(e.path, ".")] = e.why
	}
	return m
}

const namePattern = "^[a-z][a-z0-9_-]{0,62}$"

// document is the whole schema.
func (m *maker) document() schema {
	named := func(of schema) schema {
		return schema{{"type", "object"}, {"patternProperties", schema{{namePattern, of}}}, {"additionalProperties", false}}
	}
	defs := schema{}
	for _, table := range []struct{ name, example string }{
		{"source", "source.self"}, {"webhook", "webhook.app"}, {"host", hostTable}, {kindStore, kindStore}, {kindAdmin, kindAdmin}, {kindLog, kindLog}, {kindAlerts, kindAlerts},
	} {
		defs = append(defs, member{table.name, m.table(table.example, reflect.TypeOf(defaultsOf(table.example)))})
	}
	ref := func(name string) schema { return schema{{"$ref", "#/$defs/" + name}} }
	needsURL := schema{{"allOf", []any{ref("webhook"), schema{{"required", []string{"url"}}}, schema{
		{"if", schema{{"properties", schema{{"sign", schema{{"const", "none"}}}}}, {"required", []string{"sign"}}}},
		{"else", schema{{"required", []string{"secret"}}}},
	}}}}
	alone := schema{{"type", "object"}, {"additionalProperties", schema{
		{"required", []string{"url"}},
		{"oneOf", []any{schema{{"required", []string{"every"}}}, schema{{"required", []string{"cron"}}}}},
	}}}
	return schema{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", "urn:deltahook:config"},
		{"title", "deltahook.toml"},
		{"description", "The configuration of deltahook. A file of a folder of several may lack what another one has."},
		{"type", "object"},
		{"properties", schema{
			{"source", named(ref("source"))},
			{"webhook", named(needsURL)},
			{"defaults", ref("source")},
			{"host", schema{{"type", "object"}, {"additionalProperties", ref("host")}}},
			{kindStore, ref(kindStore)},
			{kindAdmin, ref(kindAdmin)},
			{kindLog, ref(kindLog)},
			{kindAlerts, ref(kindAlerts)},
		}},
		{"additionalProperties", false},
		// What [defaults] has may be left out of a source.
		{"if", schema{{"not", schema{{"required", []string{"defaults"}}}}, {"required", []string{"source"}}}},
		{"then", schema{{"properties", schema{{"source", alone}}}}},
		{"$defs", defs},
	}
}

// table is the schema of a table with fixed keys.
func (m *maker) table(path string, t reflect.Type) schema {
	properties := schema{}
	for _, f := range fieldsOf(t) {
		at := path + "." + f.key
		properties = append(properties, member{f.key, m.key(at, t.Field(f.index).Type)})
	}
	return schema{{"type", "object"}, {"properties", properties}, {"additionalProperties", false}}
}

// key is the schema of one key, with its description.
func (m *maker) key(path string, t reflect.Type) schema {
	if isTable(t) {
		return m.table(path, t)
	}
	out := m.value(path, t)
	if words := m.words(path, t); len(words) > 0 {
		out = schema{{"enum", words}}
	}
	return append(out, member{"description", m.why[path]})
}

const durationPattern = `^([0-9]+d)?([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))*$`

func pattern(p string) schema { return schema{{"type", "string"}, {"pattern", p}, {"minLength", 1}} }

// value is the schema of a value of a type.
func (m *maker) value(path string, t reflect.Type) schema {
	text := schema{{"type", "string"}}
	list := func(items schema) schema { return schema{{"type", "array"}, {"items", items}} }
	either := func(a, b schema) schema { return schema{{"anyOf", []any{a, b}}} }
	switch t {
	case reflect.TypeFor[setting.Duration]():
		return pattern(durationPattern)
	case reflect.TypeFor[setting.Size]():
		return pattern(`^[0-9]+ *(B|kB|MB|GB|KiB|MiB|GiB)$`)
	case reflect.TypeFor[setting.Rate]():
		return pattern(`^\+?0*[1-9][0-9]*/[smhd]$`)
	case reflect.TypeFor[setting.Share]():
		return pattern(`^[0-9]+(\.[0-9]+)?%$`)
	case reflect.TypeFor[setting.Amount]():
		return either(pattern(`^[0-9]+(\.[0-9]+)?%?$`), schema{{"type", "integer"}, {"minimum", 0}})
	case reflect.TypeFor[poller.First]():
		return schema{{"type", "integer"}, {"minimum", 0}}
	case reflect.TypeFor[setting.Secret]():
		return schema{{"type", "string"}, {"minLength", 1}}
	case reflect.TypeFor[setting.SecretList]():
		rotated := schema{{"type", "object"}, {"properties", schema{
			{"secret", text}, {"id", text}, {"not_after", text},
		}}, {"required", []string{"secret"}}, {"additionalProperties", false}}
		one := either(text, rotated)
		return either(one, list(one))
	case reflect.TypeFor[differ.Path](), reflect.TypeFor[differ.Condition](), reflect.TypeFor[outbound.Proxy]():
		return text
	}
	switch pointer := reflect.PointerTo(t); {
	case pointer.Implements(reflect.TypeFor[setting.Listed]()):
		return either(text, list(text))
	case pointer.Implements(reflect.TypeFor[setting.Numeric]()):
		return either(text, schema{{"type", "integer"}})
	case pointer.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return text
	case t.Kind() == reflect.Map:
		return schema{{"type", "object"}, {"additionalProperties", m.value(path, t.Elem())}}
	case t.Kind() == reflect.Slice:
		return list(m.value(path, t.Elem()))
	case t.Kind() == reflect.Bool:
		return schema{{"type", "boolean"}}
	case t.Kind() == reflect.Float64:
		return schema{{"type", "number"}}
	case reflect.Zero(t).CanInt():
		return schema{{"type", "integer"}}
	case t.Kind() == reflect.String:
		return text
	}
	m.t.Fatalf("%s has the type %s, which no schema is known for", path, t)
	return nil
}

// words gives the words that a key takes; nothing when it takes others, too.
func (m *maker) words(path string, t reflect.Type) []string {
	if _, ok := m.asked[path]; !ok {
		m.asked[path] = ask(path, t)
	}
	return slices.Clone(m.asked[path])
}

// ask finds out which words the code lets through: it is given one that is none.
func ask(path string, t reflect.Type) []string {
	if path == "source.self.auth.algorithm" { // of hmac these, of the assertion of oauth2 others
		return nil
	}
	if t.Kind() != reflect.String || reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return nil
	}
	const word = "no-such-word"
	table, key := tableOf(path)
	for _, context := range contexts(table) {
		if strings.Contains(context+"\n", "\n"+key+" =") {
			continue
		}
		text := baseOf(table) + context + "\n" + key + " = \"" + word + "\"\n" + restOf(table)
		_, report := Parse([]File{{Path: "x.toml", Text: []byte(text)}}, testSecrets())
		for _, p := range report.Problems {
			if !p.Warning && strings.Contains(p.Message, `"`+word+`"`) {
				if found := wordsIn(p.Hint); len(found) > 0 {
					return found
				}
			}
		}
	}
	return nil
}

// wordsIn reads what a hint offers; nothing when it offers no choice.
func wordsIn(hint string) []string {
	line, _, _ := strings.Cut(hint, "\n")
	if list, ok := strings.CutPrefix(line, "allowed: "); ok {
		return strings.Split(strings.ReplaceAll(hint[len("allowed: "):], "\n  ", " "), ", ")[:1+strings.Count(list, ", ")]
	}
	m := regexp.MustCompile(`^write (?:one of )?((?:"[a-zA-Z0-9_-]+"(?:, | or )?)+)$`).FindStringSubmatch(line)
	if m == nil {
		return nil
	}
	var words []string
	for _, q := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(m[1], -1) {
		words = append(words, q[1])
	}
	return words
}

// tableOf splits a path into its table, which may have a dotted name, and the key.
func tableOf(path string) (table, key string) {
	for _, table := range []string{"source.self", "webhook.app", hostTable, kindStore, kindAdmin, kindLog, kindAlerts} {
		if rest, ok := strings.CutPrefix(path, table+"."); ok {
			return table, rest
		}
	}
	return "", path
}

const (
	minimalSource  = "[source.self]\nurl = \"http://127.0.0.1/\"\nevery = \"1m\"\nkey = \"id\"\n"
	minimalWebhook = "[webhook.app]\nurl = \"http://127.0.0.1/\"\nsecret = \"env:APP_SECRET\"\n"
)

func baseOf(table string) string {
	switch table {
	case "source.self":
		return "[source.self]\n"
	case "webhook.app":
		return "[webhook.app]\n"
	}
	return "[" + table + "]\n"
}

func restOf(table string) string {
	switch table {
	case "source.self":
		return minimalWebhook
	case "webhook.app":
		return minimalSource
	}
	return minimalSource + minimalWebhook
}

// contexts are the circumstances under which some keys count.
func contexts(table string) []string {
	auth := []string{"basic", "bearer", "header", "query", "oauth2", "digest", "login", "hmac", "ntlm"}
	var list []string
	switch table {
	case "source.self":
		const base = "\nurl = \"http://127.0.0.1/\"\nevery = \"1m\"\nkey = \"id\""
		list = append(list, base, base+"\npages.kind = \"page\"\npages.size = 10\npages.size_param = \"n\"", base+"\ndetail.url = \"/{key}\"")
		for _, kind := range auth {
			list = append(list, base+"\nauth.kind = \""+kind+"\"\nauth.url = \"http://127.0.0.1/login\"\nauth.key = \"env:CRM_TOKEN\"\nauth.token_url = \"http://127.0.0.1/\"")
		}
	case "webhook.app":
		const base = "\nurl = \"http://127.0.0.1/\"\nsecret = \"env:APP_SECRET\""
		list = append(list, base, base+"\nsign = \"template\"", base+"\nsign = \"rfc9421\"", base+"\nbatch.max_events = 10", base+"\nhandshake.origin = \"me\"")
		for _, kind := range auth {
			list = append(list, base+"\nauth.kind = \""+kind+"\"\nauth.token_url = \"http://127.0.0.1/\"\nauth.client_id = \"a\"\nauth.client_secret = \"env:CRM_TOKEN\"")
		}
	default:
		list = append(list, "")
	}
	return slices.Clip(list)
}
