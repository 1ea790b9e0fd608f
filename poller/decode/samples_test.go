package decode

import (
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"

	"github.com/deltahook/deltahook/differ"
)

// Answers as real systems give them, read as the poller does: records, keys, and what stands around the list.
func TestAnswersOfRealSystems(t *testing.T) {
	latin := func(s string) string {
		out, err := charmap.Windows1252.NewEncoder().String(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, c := range map[string]struct {
		in           string
		o            Options
		records, key string
		keys         []string
		around       map[string]string
		first        string
	}{
		"SOAP with namespaces": {
			in: `<?xml version="1.0" encoding="utf-8"?>
<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema">
  <soap:Header><wsse:Security xmlns:wsse="urn:wsse" soap:mustUnderstand="1"/></soap:Header>
  <soap:Body>
    <ns2:ListResponse xmlns:ns2="http://erp.example.com/ws">
      <items xmlns="http://erp.example.com/ws">
        <item xsi:type="ns2:Customer"><id xsi:type="xsd:int">007</id><name>Ann &amp; Co</name><vat xsi:nil="true"/><tags/></item>
        <ns2:item><ns2:id>8</ns2:id><ns2:name><![CDATA[<Bob>]]></ns2:name></ns2:item>
      </items>
      <hasMore>false</hasMore>
    </ns2:ListResponse>
  </soap:Body>
</soap:Envelope>`,
			o:       Options{Format: "xml", ContentType: "text/xml; charset=utf-8"},
			records: "Envelope.Body.ListResponse.items.item", key: "id", keys: []string{"007", "8"},
			around: map[string]string{"Envelope.Body.ListResponse.hasMore": `"false"`, "Envelope.Header.Security.@mustUnderstand": `"1"`},
			first:  `{"@type":"ns2:Customer","id":"007","name":"Ann & Co","vat":null,"tags":""}`,
		},
		"a feed with links among its entries": {
			in: `<?xml version="1.0"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en">
  <title type="text">News</title>
  <link rel="self" href="/feed"/>
  <entry><id>urn:1</id><title>One</title><link href="/1"/><content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">Hi <b>you</b></div></content></entry>
  <link rel="next" href="/feed?page=2"/>
  <entry><id>urn:2</id><link href="/2"/><link href="/2.pdf"/></entry>
</feed>`,
			o:       Options{Format: "xml", ForceArray: []string{"feed.entry.link", "feed.link"}},
			records: "feed.entry", key: "id", keys: []string{"urn:1", "urn:2"},
			around: map[string]string{`feed.link.#(@rel=="next").@href`: `"/feed?page=2"`, "feed.title.#text": `"News"`, "feed.@lang": `"en"`},
			first:  `{"id":"urn:1","title":"One","link":[{"@href":"/1"}],"content":{"@type":"xhtml","div":{"b":"you","#text":"Hi "}}}`,
		},
		"an ERP in ISO-8859-1": {
			in: latin("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\r\n<!DOCTYPE Artikelliste SYSTEM \"artikel.dtd\">\r\n" +
				"<Artikelliste Stand=\"2026-11-23\">\r\n  <Artikel Nr=\"00042\"><Bezeichnung>Türgriff Größe 5</Bezeichnung><Preis Währung=\"EUR\">9,90</Preis></Artikel>\r\n</Artikelliste>\r\n"),
			o:       Options{Format: "xml", ContentType: "application/xml"},
			records: "Artikelliste.Artikel", key: "@Nr", keys: []string{"00042"},
			around: map[string]string{"Artikelliste.@Stand": `"2026-11-23"`},
			first:  `{"@Nr":"00042","Bezeichnung":"Türgriff Größe 5","Preis":{"@Währung":"EUR","#text":"9,90"}}`,
		},
		"a table of Excel": {
			in:      latin("sep=;\r\nKunden-Nr.;Name;Umsatz €;Bemerkung\r\n007;\"Müller; Söhne\";1.234,50;\"zwei\r\nZeilen\"\r\n008;O\"Neil;;\r\n"),
			o:       Options{Format: "csv", Charset: "windows-1252", ContentType: "text/csv"},
			records: "@this", key: `Kunden-Nr\.`, keys: []string{"007", "008"},
			first: `{"Kunden-Nr.":"007","Name":"Müller; Söhne","Umsatz €":"1.234,50","Bemerkung":"zwei\r\nZeilen"}`,
		},
		"lines": {
			in:      "{\"id\":9007199254740993,\"price\":1.10}\n{\"id\":9007199254740992}\n",
			o:       Options{Format: "ndjson", ContentType: "application/x-ndjson"},
			records: "@this", key: "id", keys: []string{"9007199254740993", "9007199254740992"},
			first: `{"id":9007199254740993,"price":1.10}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Records = c.records
			document, err := decodeAll(t, c.in, c.o)
			if err != nil {
				t.Fatal(err)
			}
			spec := differ.Spec{Records: differ.MustPath(c.records)}
			r := differ.NewReader(strings.NewReader(document), differ.Options{Spec: spec})
			key := differ.MustPath(c.key)
			var keys []string
			for {
				rec, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if len(keys) == 0 && string(rec.Raw) != c.first {
					t.Errorf("the first record is %s", rec.Raw)
				}
				keys = append(keys, strings.Trim(string(key.Get(rec.Raw).Raw), `"`))
			}
			if strings.Join(keys, " ") != strings.Join(c.keys, " ") {
				t.Errorf("the keys are %q", keys)
			}
			for path, value := range c.around {
				if got := differ.MustPath(path).Get(r.Envelope()); string(got.Raw) != value {
					t.Errorf("%s is %s, in %s", path, got.Raw, r.Envelope())
				}
			}
		})
	}
}
