package admin

import (
	_ "embed"
	"net/http"
)

// document is the description of the API, made of the table of routes and the types of its answers by a test.
//
//go:embed openapi.json
var document []byte

func (h *handler) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", jsonKind)
	_, _ = w.Write(document)
}
