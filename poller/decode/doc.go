// Package decode turns the body of an answer, whatever a legacy system sends, into one JSON document, while it passes: it holds a
// record and a buffer, never the list.
//
// A decompressed body is converted to UTF-8 from the charset that is configured or declared (nothing is
// guessed), and made JSON from one of the formats below. What is cut off, too large or not what it claims to be is an error,
// never a shorter list.
//
// # json
//
// Bytes pass as they are, also those that are not UTF-8; only a byte order mark is taken off.
//
// # ndjson
//
// Records on one line each, or behind a record separator each (RFC 7464), become an array. The bytes of each record are kept, blank
// lines are skipped, nothing at all is an empty array. An answer that is cut exactly behind a record cannot be told from a shorter one.
//
// # csv
//
// Rows become an array of objects with a string for each column, whose bytes are kept. The delimiter is configured, or named by Excel's
// first line (sep=;), or the one of , ; | and tab that the header row has most often. Names of columns lose the white space around
// them; a column without a name is column_3, after its place, and one whose name stands further left too is price_2. A row with more or
// fewer fields than there are columns is an error. Empty lines are skipped.
//
// # xml
//
// The document becomes an object with one member, the root. Names lose their namespace; what has the same name then is the same
// member.
//
//	<a>text</a>                     "a": "text"          also 007, true and CDATA: leaves are strings, white space in them is kept
//	<a/>, <a> </a>                  "a": ""              text that is only white space does not count
//	<a xsi:nil="true"/>             "a": null
//	<a id="1"><b>x</b></a>          "a": {"@id": "1", "b": "x"}
//	<a id="1">text</a>              "a": {"@id": "1", "#text": "text"}
//	<a>one <b>x</b> two</a>         "a": {"b": "x", "#text": "one  two"}
//	<b>x</b><c/><b>y</b>            "b": ["x", "y"], "c": ""
//	<b>x</b>                        "b": ["x"]           when a path forces an array there
//	<a/>                            "a": {"b": []}       when a path forces an array at a.b; not where a has text or is nil
//
// Members stand in the order of their first appearance; text is the last. Attributes xmlns and those of XML Schema are left out, but
// xsi:type is kept as @type where the element has children or other attributes. Comments, processing instructions and document types
// are skipped; entities that a document type declares are not known, so nothing is ever fetched or expanded.
//
// Paths begin with the root, without prefixes: feed.entry, Envelope.Body.ListResponse.items.item. The elements of the list at
// Options.Records are written as they come, what stands around them when the document has ended; so members of the objects around
// the list are all there, but behind it. Each of these objects is one: when <items> comes twice on the way to items.item, there is
// one list of all items, and what else the two have is merged.
//
// The envelope of SOAP is an element as others are. A SOAP fault is a *FaultError.
package decode
