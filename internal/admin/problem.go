package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/store"
)

const (
	jsonKind    = "application/json"
	problemKind = "application/problem+json"
)

// Problem is the body of an error answer (RFC 9457).
type Problem struct { //nolint:errname // the name that the RFC has for it
	Title  string `json:"title"`  // what the status means
	Status int    `json:"status"` // of the answer
	Detail string `json:"detail"` // what is wrong, for people
}

// Error gives what is wrong.
func (p *Problem) Error() string { return p.Detail }

// problem writes an error as RFC 9457 problem details.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", problemKind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(Problem{Title: http.StatusText(status), Status: status, Detail: detail})
}

// requestError is an error of the caller's making.
type requestError struct{ error }

func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if rejected, ok := errors.AsType[*RejectedError](err); ok {
		problem(w, http.StatusUnprocessableEntity, rejected.Problems)
		return
	}
	if _, ok := errors.AsType[requestError](err); ok {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	for status, kinds := range map[int][]error{
		http.StatusNotFound: {store.ErrNotFound, ErrNoSource, ErrNoWebhook, ErrNoVerb},
		http.StatusConflict: {ErrState},
	} {
		if slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) }) {
			problem(w, status, err.Error())
			return
		}
	}
	h.Log.ErrorContext(r.Context(), "admin request failed", "path", r.URL.Path, "err", err)
	problem(w, http.StatusInternalServerError, err.Error())
}

// nowhere answers what has no route: with the methods that the address has, if it has any.
func (h *handler) nowhere(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := h.mux.Handler(other); pattern != anything && pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		problem(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s has %s, not %s", r.URL.Path, strings.Join(allowed, " and "), r.Method))
		return
	}
	problem(w, http.StatusNotFound, fmt.Sprintf("there is no %s; see %s/openapi.json", r.URL.Path, apiRoot))
}

// understands says what of a request is not understood. Parameters are in the query; a form in the body is a browser's.
func (one *route) understands(r *http.Request, kind string) (status int, err error) {
	if !one.chooses && !accepts(r.Header.Values("Accept"), kind) {
		return http.StatusNotAcceptable, fmt.Errorf("the answer is %s, which the header Accept does not take", kind)
	}
	if given, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); r.ContentLength != 0 && given != "application/x-www-form-urlencoded" {
		return http.StatusUnsupportedMediaType, errors.New("parameters are in the query; a body is not read")
	}
	known := one.params
	if one.pages {
		known = append(slices.Clone(known), pageParams()...)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil { // what was not understood would be a filter that does not count
		return http.StatusBadRequest, fmt.Errorf("the query cannot be read: %w; parameters are parted by &, and what they hold is percent-encoded", err)
	}
	for name, values := range query {
		i := slices.IndexFunc(known, func(p param) bool { return p.name == name })
		if i < 0 {
			return http.StatusBadRequest, fmt.Errorf("there is no parameter %q; there are: %s", name, names(known))
		}
		if err := known[i].takes(values); err != nil {
			return http.StatusBadRequest, err
		}
	}
	for _, p := range known {
		if p.required && !query.Has(p.name) {
			return http.StatusBadRequest, fmt.Errorf("the parameter %s is needed: %s", p.name, p.about)
		}
	}
	return 0, nil
}

// takes says what is wrong with the values of a parameter, as far as its description says.
func (p *param) takes(values []string) error {
	if len(values) > 1 && !p.repeated {
		return fmt.Errorf("%s is there %d times; once is enough", p.name, len(values))
	}
	for _, value := range values {
		if len(p.one) > 0 && value != "" && !slices.Contains(p.one, value) {
			return fmt.Errorf("%s = %q is none of %s", p.name, value, strings.Join(p.one, ", "))
		}
		if p.format == "boolean" && value != "true" && value != "false" {
			return fmt.Errorf("%s = %q is neither true nor false", p.name, value)
		}
	}
	return nil
}

func names(list []param) string {
	if len(list) == 0 {
		return "none"
	}
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.name
	}
	return strings.Join(texts, ", ")
}

// pageParams are those of each list with a cursor.
func pageParams() []param {
	return []param{
		{name: "limit", about: fmt.Sprintf("at most so many, %d without it and %d at most", defaultLimit, maxLimit), format: "integer"},
		{name: "cursor", about: "where the page begins: from the link to the next page of the page before"},
	}
}

// accepts says whether the header Accept takes a kind of content. Weights do not matter: there is one.
func accepts(headers []string, kind string) bool {
	if len(headers) == 0 {
		return true
	}
	main, _, _ := strings.Cut(kind, "/")
	for one := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		media, params, _ := strings.Cut(strings.ToLower(strings.TrimSpace(one)), ";")
		if refused := strings.Contains(strings.ReplaceAll(params, " ", "")+";", "q=0;"); refused {
			continue
		}
		switch strings.TrimSpace(media) {
		case "*/*", main + "/*", kind, "":
			return true
		}
	}
	return false
}
