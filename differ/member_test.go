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
