package decode

import (
	"strings"
	"testing"
)

const xsi = ` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"`

func TestElementsBecomeMembers(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"text":                 {`<a>text</a>`, `{"a":"text"}`},
		"leaves are strings":   {`<a><b>007</b><c>1.10</c><d>true</d></a>`, `{"a":{"b":"007","c":"1.10","d":"true"}}`},
		"empty":                {`<a/>`, `{"a":""}`},
		"empty child":          {`<a><b/><c></c></a>`, `{"a":{"b":"","c":""}}`},
		"white space only":     {"<a> \r\n\t</a>", `{"a":""}`},
		"white space around":   {"<a> x\n</a>", `{"a":" x\n"}`},
		"white space between":  {"<a>\n <b>1</b>\n</a>\n", `{"a":{"b":"1"}}`},
		"line ends":            {"<a>x\r\ny\rz</a>", `{"a":"x\ny\nz"}`},
		"attributes":           {`<a id="1" b='"2"'>text</a>`, `{"a":{"@id":"1","@b":"\"2\"","#text":"text"}}`},
		"attributes only":      {`<a id="1"/>`, `{"a":{"@id":"1"}}`},
		"attribute, child":     {`<a id="1"><b>x</b></a>`, `{"a":{"@id":"1","b":"x"}}`},
		"repeated":             {`<a><b>1</b><b>2</b></a>`, `{"a":{"b":["1","2"]}}`},
		"interleaved":          {`<a><b>1</b><c>2</c><b>3</b><c/><d/><b x="4"/></a>`, `{"a":{"b":["1","3",{"@x":"4"}],"c":["2",""],"d":""}}`},
		"mixed":                {"<p> one <b>x</b> two\n<i/>\n</p>", `{"p":{"b":"x","i":"","#text":" one  two\n"}}`},
		"cdata":                {`<a><![CDATA[<b>&amp;]]> x</a>`, `{"a":"<b>&amp; x"}`},
		"cdata in text":        {`<a>x<![CDATA[ ]]>y</a>`, `{"a":"x y"}`},
		"entities":             {`<a b="&#65;&quot;">&lt;&amp;&#x20AC;&apos;</a>`, `{"a":{"@b":"A\"","#text":"<&€'"}}`},
		"comments":             {`<!-- x --><a>x<!-- <b/> -->y<?pi z?></a><!-- y --><?end?>`, `{"a":"xy"}`},
		"document type":        {`<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd" [<!ENTITY b "c"><!ELEMENT a ANY>]><a>x</a>`, `{"a":"x"}`},
		"namespaces":           {`<n:a xmlns:n="u" xmlns="v" n:id="1"><b/><n:c/></n:a>`, `{"a":{"@id":"1","b":"","c":""}}`},
		"undeclared prefixes":  {`<n:a><m:b p:id="1"/></n:a>`, `{"a":{"b":{"@id":"1"}}}`},
		"names that collide":   {`<a xmlns:n="u" id="1" n:id="2"><b>1</b><n:b>2</n:b></a>`, `{"a":{"@id":["1","2"],"b":["1","2"]}}`},
		"nil":                  {`<a` + xsi + `><b xsi:nil="true"/><c xsi:nil="1"></c><d xsi:nil="false"/></a>`, `{"a":{"b":null,"c":null,"d":""}}`},
		"nil with an id":       {`<a` + xsi + ` xsi:nil="true" id="1"/>`, `{"a":{"@id":"1","#text":null}}`},
		"nil with text":        {`<a` + xsi + ` xsi:nil="true">x</a>`, `{"a":"x"}`},
		"undeclared nil":       {`<a xsi:nil="true"/>`, `{"a":null}`},
		"nil elsewhere":        {`<a nil="true"/>`, `{"a":{"@nil":"true"}}`},
		"type of a leaf":       {`<a` + xsi + `><b xsi:type="xsd:int">7</b><c xsi:nil="true" xsi:type="xsd:int"/></a>`, `{"a":{"b":"7","c":null}}`},
		"type of an object":    {`<a` + xsi + ` xsi:type="t:Circle"><r>1</r></a>`, `{"a":{"@type":"t:Circle","r":"1"}}`},
		"schema location":      {`<a` + xsi + ` xsi:schemaLocation="u v">x</a>`, `{"a":"x"}`},
		"dots in names":        {`<a.b><c-d_1/></a.b>`, `{"a.b":{"c-d_1":""}}`},
		"other alphabets":      {`<größe>1</größe>`, `{"größe":"1"}`},
		"escapes":              {"<a b=\"\\\">\t\"\\</a>", `{"a":{"@b":"\\","#text":"\t\"\\"}}`},
		"attributes on leaves": {`<p cur="EUR">9.90</p>`, `{"p":{"@cur":"EUR","#text":"9.90"}}`},
		"same as in gjson":     {`<a><a><a>1</a></a></a>`, `{"a":{"a":{"a":"1"}}}`},
	} {
		t.Run(name, func(t *testing.T) { want(t, c.in, Options{Format: "xml"}, c.want) })
	}
}

func TestManyDifferentMembersAreFound(t *testing.T) {
	var in, document strings.Builder
	for n := range 100 {
		name := "m" + strings.Repeat("x", n)
		in.WriteString("<" + name + ">1</" + name + ">")
		document.WriteString(`,"` + name + `":["1","1"]`)
	}
	o := Options{Format: "xml", Records: "a.b"}
	once := `{` + document.String()[1:] + `}`
	want(t, "<a><b>"+in.String()+in.String()+"</b><b><m/></b><b>"+in.String()+in.String()+"</b></a>", o, `{"a":{"b":[`+once+`,{"m":""},`+once+`]}}`)
}

// A list with a single element and one without any are still lists.
func TestT14ASingleXMLElementIsAListOfOne(t *testing.T) {
	o := Options{Format: "xml", Records: "items.item"}
	want(t, `<items><item><id>007</id></item><item><id>8</id></item></items>`, o, `{"items":{"item":[{"id":"007"},{"id":"8"}]}}`)
	want(t, `<items><item><id>007</id></item></items>`, o, `{"items":{"item":[{"id":"007"}]}}`)
	want(t, `<items><item/></items>`, o, `{"items":{"item":[""]}}`)
	want(t, `<items></items>`, o, `{"items":{"item":[]}}`)
	want(t, `<items/>`, o, `{"items":{"item":[]}}`)
	want(t, `<items n="0"/>`, o, `{"items":{"@n":"0","item":[]}}`)
	want(t, `<items><total>0</total></items>`, o, `{"items":{"total":"0","item":[]}}`)
}

func TestWhereTheListCannotBeThereIsNoEmptyList(t *testing.T) {
	o := Options{Format: "xml", Records: "r.items.item"}
	want(t, `<r><items>session expired</items></r>`, o, `{"r":{"items":"session expired"}}`)
	want(t, `<r><items`+xsi+` xsi:nil="true"/></r>`, o, `{"r":{"items":null}}`)
	want(t, `<r><error>no</error></r>`, o, `{"r":{"error":"no"}}`)
	want(t, `<r>no</r>`, o, `{"r":"no"}`)
	want(t, `<r/>`, o, `{"r":""}`)
	want(t, `<html><item/></html>`, o, `{"html":{"item":""}}`)
	want(t, `<other/>`, Options{Format: "xml", Records: "feed"}, `{"other":""}`)
}

func TestWhatStandsAroundTheListComesBehindIt(t *testing.T) {
	o := Options{Format: "xml", Records: "r.items.item"}
	want(t, `<r v="1"><a/><items n="2"><b/><item>1</item><c/><item>2</item><d/></items><next>x</next></r>`, o,
		`{"r":{"items":{"item":["1","2"],"@n":"2","b":"","c":"","d":""},"@v":"1","a":"","next":"x"}}`)
}

func TestAListThatComesInPartsIsOne(t *testing.T) {
	o := Options{Format: "xml", Records: "r.group.item"}
	want(t, `<r><group n="1"><item>1</item></group><x/><group n="2"/><y/><group n="3"><item>2</item>text</group><x/></r>`, o,
		`{"r":{"group":{"item":["1","2"],"@n":["1","2","3"],"#text":"text"},"x":["",""],"y":""}}`)
	want(t, `<r><group`+xsi+` xsi:nil="true"/><group><item/></group></r>`, o, `{"r":{"group":{"item":[""]}}}`)
	want(t, `<r><group n="1"/><group n="2"/></r>`, o, `{"r":{"group":{"@n":["1","2"],"item":[]}}}`)
}

func TestForcedPathsAreArraysEverywhere(t *testing.T) {
	o := Options{Format: "xml", Records: "feed.entry", ForceArray: []string{"feed.entry.link", "feed.entry.a.b", "feed.link", "feed.x.y", `feed.d\.t`}}
	want(t, `<feed><link/><entry><link>1</link></entry><entry><a/></entry><entry><link/><link/><a><b/></a></entry><x/><d.t/></feed>`, o,
		`{"feed":{"entry":[{"link":["1"]},{"a":{"b":[]},"link":[]},{"link":["",""],"a":{"b":[""]}}],"link":[""],"x":{"y":[]},"d.t":[""]}}`)
	want(t, `<a>1</a>`, Options{Format: "xml", ForceArray: []string{"a"}}, `{"a":["1"]}`)
	want(t, `<b>1</b>`, Options{Format: "xml", ForceArray: []string{"a"}}, `{"b":"1"}`)
	want(t, `<a/>`, Options{Format: "xml", Records: "a"}, `{"a":[""]}`)
	want(t, `<a><b><c/></b></a>`, Options{Format: "xml", Records: "a.#.b", ForceArray: []string{"a.b", "a.b.c"}}, `{"a":[{"b":[{"c":[""]}]}]}`)
}

func TestRecordsPathsThatAreMoreThanNames(t *testing.T) {
	const in = `<a><b><c>1</c></b></a>`
	for records, document := range map[string]string{
		"a.b.#.c":       `{"a":{"b":[{"c":"1"}]}}`,
		"@this.a.b":     `{"a":{"b":[{"c":"1"}]}}`,
		"a|b":           `{"a":{"b":[{"c":"1"}]}}`,
		`a.b.#(c="1")#`: `{"a":{"b":[{"c":"1"}]}}`,
		"a.b.0":         `{"a":{"b":[{"c":"1"}]}}`,
		"a.b.@values":   `{"a":{"b":{"c":"1"}}}`,
		"a.*":           `{"a":{"b":{"c":"1"}}}`,
		"@this":         `{"a":{"b":{"c":"1"}}}`,
		"{a.b}":         `{"a":{"b":{"c":"1"}}}`,
	} {
		want(t, in, Options{Format: "xml", Records: records}, document)
	}
}

func TestWhatIsNotXMLIsAnErrorWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		in        string
		line      int
		truncated bool
		says      string
	}{
		"nothing":             {"", 1, true, "no element"},
		"no element":          {"<?xml version=\"1.0\"?>\n<!-- x -->\n", 3, true, "no element"},
		"json":                {`{"a":1}`, 1, false, "text outside"},
		"text behind":         {"<a/>\nx", 2, false, "text outside"},
		"text before":         {"x<a/>", 1, false, "text outside"},
		"a second root":       {"<a/>\n<b/>", 2, false, "second root element, b"},
		"wrong end":           {"<a>\n<b></a>", 2, false, "b"},
		"no end":              {"<a>\n<b/>\n", 3, true, "has no end"},
		"cut in a tag":        {"<a>\n<b", 2, true, "has no end"},
		"cut in a comment":    {"<a/>\n<!-- ", 2, true, "has no end"},
		"too many ends":       {"<a/></a>", 1, false, "a"},
		"unknown entity":      {"<a>&nbsp;</a>", 1, false, "nbsp"},
		"declared entity":     {`<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>`, 1, false, "&e;"},
		"bare ampersand":      {"<a>b & c</a>", 1, false, "entity"},
		"control character":   {"<a>\x01</a>", 1, false, "U+0001"},
		"attribute unquoted":  {"<a b=c/>", 1, false, "attribute"},
		"another XML version": {`<?xml version="2.0"?><a/>`, 1, false, `version "2.0"`},
	} {
		e := failsWith[*SyntaxError](t, c.in, Options{Format: "xml"}, c.says)
		if e != nil && (e.Line != c.line || e.Truncated != c.truncated) {
			t.Errorf("%s: got line %d, truncated %v: %v", name, e.Line, e.Truncated, e)
		}
	}
}

func TestACutDocumentIsAlwaysAnError(t *testing.T) {
	const in = "<?xml version=\"1.0\"?>\n<r a=\"1\"><!-- x --><items><item>1</item><item><![CDATA[2]]>&amp;</item></items><next/></r>"
	for _, records := range []string{"", "r.items.item", "r.none"} {
		for cut := range in {
			e := failsWith[*SyntaxError](t, in[:cut], Options{Format: "xml", Records: records})
			if e != nil && !e.Truncated {
				t.Errorf("cut at %d it is said to be %v", cut, e)
			}
		}
	}
}

func TestADeepDocumentIsAnError(t *testing.T) {
	want(t, strings.Repeat("<a>", 999)+strings.Repeat("</a>", 999), Options{Format: "xml"}, strings.Repeat(`{"a":`, 999)+`""`+strings.Repeat(`}`, 999))
	wantError[*SyntaxError](t, strings.Repeat("<a>", 100_000), Options{Format: "xml"}, "1000 deep")
}

func TestEntitiesAreNotExpanded(t *testing.T) {
	bomb := `<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><lolz>&b;</lolz>`
	wantError[*SyntaxError](t, bomb, Options{Format: "xml"}, "&b;")
	wantError[*SyntaxError](t, `<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><a>&f;</a>`, Options{Format: "xml"}, "&f;")
}

func TestWhatHasToBeHeldIsLimited(t *testing.T) {
	o := Options{Format: "xml", Records: "r.i", MaxBuffer: 100_000}
	long := strings.Repeat("x", 60_000)
	one := "<i><a>" + long + "</a></i>"
	if _, err := decodeAll(t, "<r>"+strings.Repeat(one, 20)+"<a>"+long+"</a></r>", o); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct{ in, what string }{
		"a record":            {"<r>\n<i><a>" + long + "</a><b>" + long + "</b></i></r>", "record"},
		"a record of little":  {"<r>\n<i>" + strings.Repeat("<a/>", 5_000) + "</i></r>", "record"},
		"around":              {"<r><i/>\n<a>" + long + "</a><a>" + long + "</a></r>", "answer without its records"},
		"around and in parts": {"<r>\n" + strings.Repeat("<i/><a>"+long[:10_000]+"</a>", 11) + "</r>", "answer without its records"},
		"no list":             {"<x>\n<i>" + long + "</i><i>" + long + "</i></x>", "answer without its records"},
		"a comment":           {"<r>\n<!--" + long + long + long + "--></r>", "tag, text or comment"},
		"a document type":     {"\n<!DOCTYPE r [" + strings.Repeat(`<!ENTITY a "b">`, 20_000) + "]><r/>", "tag, text or comment"},
		"an attribute":        {"<r>\n<i a=\"" + long + long + long + "\"/></r>", "tag, text or comment"},
	} {
		e := failsWith[*TooLargeError](t, c.in, o, c.what)
		if e != nil && (e.Limit != 100_000 || e.Line != 2 && e.Line != 0) {
			t.Errorf("%s: %+v", name, e)
		}
	}
}
