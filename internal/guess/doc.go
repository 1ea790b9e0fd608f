// Package guess looks at one answer of an unknown API, and at two readings of its records, and says what a configuration
// for it would be: format, list, key, paging, what is noise. It is pure: who calls it asks the API, tries what it proposes,
// and writes the file.
//
// Nothing here is certain. Each decision carries a Note, which says what it rests on and whether it is worth a second look.
package guess

import (
	"net/http"
	"net/url"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/poller"
)

// Answer is the first page of the API.
type Answer struct {
	URL    *url.URL
	Header http.Header
	Body   []byte // decompressed, else as it came
	Asked  string // the body of the request
}

// Hints are what the user knows better.
type Hints struct {
	Records differ.Path
	Key     differ.Paths
}

// Guess is what the answer looks like.
type Guess struct {
	Response Response
	Records  differ.Path
	Key      differ.Paths
	Single   bool
	Count    int // records on the page
	Updated  *Updated
	Pages    []Paging // worth a try, the likeliest first
	Total    int64    // how many records there are on all pages, as the answer says; 0: it does not
	More     bool     // the answer says that there are more pages
	Feed     bool     // of news: what is not on it any more is not gone
	Notes    []Note

	list *list
}

// Response is how the answer is written.
type Response struct {
	Format     string // "json", "ndjson", "xml", "csv"
	Charset    string // empty: what the answer declares, or UTF-8
	Delimiter  string // of csv, when it is no comma
	Columns    []string
	ForceArray []differ.Path
	Error      string // a condition: the answer is an error in spite of its status
	Message    string // path of what it says then
}

// Paging is one way in which the listing may go on.
type Paging struct {
	Pages poller.Pages
	// Told says that the answer itself speaks of pages so. Without it the proposal is a shot in the dark: it counts only when
	// a second page really comes.
	Told bool
	Why  string // what it rests on, as a person would say it
}

// The subjects of notes: keys of a source.
const (
	AboutFormat  = "response"
	AboutRecords = "records"
	AboutKey     = "key"
	AboutPages   = "pages"
	AboutIgnore  = "ignore"
	AboutCursor  = "cursor"
)

// Note says what a decision rests on.
type Note struct {
	About  string // the key of a source that it is about
	Text   string // for people, without a full stop
	Unsure bool   // a person should look at it
}

func (g *Guess) note(about, text string) {
	g.Notes = append(g.Notes, Note{About: about, Text: text})
}

func (g *Guess) unsure(about, text string) {
	g.Notes = append(g.Notes, Note{About: about, Text: text, Unsure: true})
}
