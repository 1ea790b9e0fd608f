package poller

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

func testValues() values {
	return values{
		now: time.Date(2026, 11, 23, 12, 0, 1, 999, time.UTC), scheduled: time.Date(2026, 11, 23, 13, 0, 0, 0, time.FixedZone("", 3600)), page: 3, cursor: `2026-11-23T12:00:00+01:00 "&=#`, until: "17",
		secrets: &setting.Secrets{LookupEnv: func(name string) (string, bool) {
			v, ok := map[string]string{"S": `a"b\c/d e&f=ü$HOME`, "NL": "a\nb"}[name]
			return v, ok
		}},
	}
}

func TestPlaceholdersAreEscapedForWhereTheyStand(t *testing.T) {
	for _, c := range []struct {
		name, text string
		where      func(int) place
		want       string
	}{
		{"plain", "{page}-{now}", always(inPlain), "3-2026-11-23T12:00:01Z"},
		{"scheduled time", "{scheduled_at}", always(inPlain), "2026-11-23T12:00:00Z"},
		{"query", "{now}&{secret:env:S}", always(inQuery), "2026-11-23T12%3A00%3A01Z&a%22b%5Cc%2Fd+e%26f%3D%C3%BC%24HOME"},
		{"path", "/{secret:env:S}/x", always(inPath), "/a%22b%5Cc%2Fd%20e&f=%C3%BC$HOME/x"},
		{"header", "Key {secret:env:S}", always(inHeader), `Key a"b\c/d e&f=ü$HOME`},
		{"JSON text", `{"a":"x {secret:env:S} y"}`, placesOfBody(`{`, ""), `{"a":"x a\"b\\c/d e\u0026f=ü$HOME y"}`},
		{"JSON value", `{"since":{now},"page":{page},"k":{secret:env:S}}`, placesOfBody(`{`, ""), `{"since":"2026-11-23T12:00:01Z","page":3,"k":"a\"b\\c/d e\u0026f=ü$HOME"}`},
		{"JSON behind an escaped quote", `{"a":"\"{page}","b":{page}}`, placesOfBody(`{"a":"\"{page}","b":{page}}`, ""), `{"a":"\"3","b":3}`},
		{"XML", `<a k="{secret:env:S}"/>`, placesOfBody("<a/>", ""), `<a k="a&#34;b\c/d e&amp;f=ü$HOME"/>`},
		{"form", `a={now}`, placesOfBody("", "application/x-www-form-urlencoded"), "a=2026-11-23T12%3A00%3A01Z"},
		{"literal", `{{page}} is {page}`, always(inPlain), `{page} is 3`},
		{"braces of JSON", `{"a":{"b":{}},"c":[{}]}`, always(inPlain), `{"a":{"b":{}},"c":[{}]}`},
		{"braces of GraphQL", `{ contacts { id } } {{id}}`, always(inPlain), `{ contacts { id } } {id}`},
		{"no placeholder", `{A}{0}{}{ now }{now {"x:}{a-b}`, always(inPlain), `{A}{0}{}{ now }{now {"x:}{a-b}`},
		{"a dollar is nothing special", `$HOME ${page} $${x`, always(inPlain), `$HOME $3 $${x`},
		{"cut", `{`, always(inPlain), `{`},
	} {
		t.Run(c.name, func(t *testing.T) {
			where := c.where
			if strings.HasPrefix(c.name, "JSON") {
				where = placesOfBody(c.text, "")
			}
			parsed, err := parseTemplate(c.text, where)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := parsed.render(testValues()); err != nil || got != c.want {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
		})
	}
}

func TestPlaceholdersThatCannotWorkAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"{cursors}":             "unknown placeholder {cursors}",
		"a {nwo} b":             "unknown placeholder {nwo}",
		"{row.a.b}":             "unknown placeholder {row.a.b}",
		"{record}":              "does not say what of the record",
		"{record:a}":            "does not say what of the record",
		"{record.$.a}":          "JSONPath",
		"{secret}":              "does not say where",
		"{secret:NAME}":         "does not say where",
		"{secret:env:}":         "does not say where",
		"{secret.env:NAME}":     "does not say where",
		"{page:2}":              "takes no argument",
		"{now.unix}":            "takes no argument",
		`{"q":"{contacts{id}}"`: "unknown placeholder {id}",
	} {
		_, err := parseTemplate(text, always(inPlain))
		if err == nil || !strings.Contains(err.Error(), want) || setting.Hint(err) == "" {
			t.Errorf("%s: %v (%s), want %q and a hint", text, err, setting.Hint(err), want)
		}
	}
}

func TestASecretWithALineBreakCannotEnterAHeader(t *testing.T) {
	parsed, err := parseTemplate("{secret:env:NL}", always(inHeader))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parsed.render(testValues()); err == nil || strings.Contains(err.Error(), "a\nb") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAnUnsetSecretIsAnErrorWithAHint(t *testing.T) {
	parsed, err := parseTemplate("{secret:env:NOPE}", always(inQuery))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed.render(testValues()); err == nil || setting.Hint(err) == "" {
		t.Errorf("error %v", err)
	}
}

func TestEscapedSecretsAreRedactedToo(t *testing.T) {
	v := testValues()
	parsed, err := parseTemplate("https://x/{secret:env:S}", always(inPath))
	if err != nil {
		t.Fatal(err)
	}
	text, err := parsed.render(v)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.secrets.Redact(text); got != "https://x/(secret)" {
		t.Errorf("redacted to %s", got)
	}
}

func FuzzPlaceholder(f *testing.F) {
	for _, text := range []string{`{page}`, `{"a":{page},"b":"{now}"}`, `{{page}}`, `{secret:env:S}`, `{`, `}{`, `{"a":"\`, `["{page}\"",{now}]`, `{"since":"{cursor}","to":{until},"a":{cursor}}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := testValues()
		if !strings.Contains(text, "}") {
			parsed, err := parseTemplate(text, always(inPlain))
			if err != nil {
				t.Fatalf("%q has no placeholder: %v", text, err)
			}
			if got, err := parsed.render(v); err != nil || got != text {
				t.Errorf("%q became %q (%v)", text, got, err)
			}
		}
		// What stands in a query cannot leave its parameter.
		if parsed, err := parseTemplate(text, always(inQuery)); err == nil {
			for i := range parsed.parts {
				parsed.parts[i].text = ""
			}
			if got, err := parsed.render(v); err == nil && strings.ContainsAny(got, "&=#/? \n") {
				t.Errorf("%q: values in a query became %q", text, got)
			} else if _, err := url.ParseQuery(got); err != nil {
				t.Errorf("%q: %v", got, err)
			}
		}
		// A body that is JSON with a value in place of each placeholder is JSON with the values in it.
		where := placesOfBody(text, "application/json")
		parsed, err := parseTemplate(text, where)
		if err != nil {
			return
		}
		simple := parsed
		simple.parts = append([]part(nil), parsed.parts...)
		for i, p := range simple.parts {
			if p.name != "" {
				simple.parts[i] = part{text: "[0]"}
			}
		}
		plain, err := simple.render(v)
		if err != nil || !json.Valid([]byte(plain)) {
			return
		}
		full, err := parsed.render(v)
		if err == nil && !json.Valid([]byte(full)) {
			t.Errorf("%q became %q, which is not JSON", text, full)
		}
	})
}
