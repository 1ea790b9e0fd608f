package admin

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
)

// listed is a page of a list, and the place where the next one begins; nil: there is none.
type listed struct {
	list any
	next *place
}

// place is where a page begins: behind an event, a poll or a key. Clients see it as an opaque cursor.
type place struct {
	Seq int64  `json:"s,omitempty"`
	Key string `json:"k,omitempty"`
}

func (p place) String() string {
	raw, err := json.Marshal(p)
	if err != nil {
		return "" // a number and a text can be marshalled
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func parsePlace(text string) (p place, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	if err != nil || p.Seq < 0 {
		return place{}, errors.New("cursor is not one that an answer had; take that of the Link header as it is")
	}
	return p, nil
}

// after makes a page of a list, and of what names its last element; full says whether there may be more.
func after[T any](list []T, full bool, last func(T) place) listed {
	if !full || len(list) == 0 {
		return listed{list: list}
	}
	next := last(list[len(list)-1])
	return listed{list: list, next: &next}
}

// link points to the next page (RFC 8288).
func (l listed) link(w http.ResponseWriter, r *http.Request) {
	if l.next == nil {
		return
	}
	query := r.URL.Query()
	query.Set("cursor", l.next.String())
	next := url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: query.Encode()}
	w.Header().Set("Link", "<"+next.String()+`>; rel="next"`)
}
