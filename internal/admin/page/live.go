package page

import "net/http"

// livePage is the list of what happens. It begins with the last events, so that it says something without a script too.
type livePage struct {
	Stream string // address of the stream, from as far back as is remembered
	Recent eventList
}

func (p *page) live(r *http.Request) (shown, error) {
	recent, err := p.listEvents(r, selection{})
	recent.Older, recent.Newest = "", ""
	return shown{view: "live", title: "Live", nav: "live", refresh: 5, body: livePage{Stream: "/api/v1/stream?after=1", Recent: recent}}, err
}
