package differ

import "testing"

func TestAPathOfMembersIsSpelledAsPeopleWriteItAndLeadsThere(t *testing.T) {
	for _, c := range []struct {
		names []string
		want  string
	}{
		{nil, "@this"},
		{[]string{"data", "items"}, "data.items"},
		{[]string{"@id"}, "@id"},
		{[]string{"feed", "entry", "@id"}, "feed.entry.@id"},
		{[]string{"# pxname"}, `\# pxname`},
		{[]string{"a.b", "c"}, `a\.b.c`},
		{[]string{"@odata.nextLink"}, `@odata\.nextLink`},
		{[]string{"@key"}, `\@key`},
		{[]string{"@this"}, `\@this`},
		{[]string{"$top", "x*"}, `\$top.x\*`},
		{[]string{"Größe", "first name"}, "Größe.first name"},
	} {
		p := MemberPath(c.names...)
		if p.String() != c.want || len(c.names) > 0 && !p.leads(c.names) {
			t.Errorf("%q: path %q, want %q", c.names, p, c.want)
		}
	}
	if p := MemberPath("a", ""); !p.IsZero() {
		t.Errorf("an empty name has the path %q", p)
	}
}

// The text of an XML element with attributes is "#text", and HAProxy begins its header row with "# ".
func TestANameThatBeginsWithANumberSignCanBeSelectedAndIgnored(t *testing.T) {
	spec := Spec{Fields: []Path{MustPath("# name"), MustPath("price")}, Ignore: []Path{MustPath("price.#text")}}
	shape, err := spec.Compile()
	if err != nil {
		t.Fatal(err)
	}
	old, now := `{"# name":"a","x":1,"price":{"@cur":"EUR","#text":"1"}}`, `{"# name":"b","x":2,"price":{"@cur":"EUR","#text":"2"}}`
	d, err := shape.Diff([]byte(old), []byte(now))
	if err != nil || len(d.Changed) != 1 || MustPath(d.Changed[0]).Get([]byte(now)).Text() != "b" {
		t.Errorf("changed %q, %v", d.Changed, err)
	}
}
