package poller

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/deltahook/deltahook/poller/decode"
)

// soapFault finds a SOAP fault in the body of an answer that is no page: SOAP 1.1 sends faults with the status 500. It is nil when
// there is none.
func soapFault(text []byte, contentType string) *decode.FaultError {
	if !bytes.Contains(text, []byte("Envelope")) {
		return nil
	}
	document, err := decode.Body(bytes.NewReader(text), decode.Options{Format: "xml", ContentType: contentType})
	if err == nil {
		_, err = io.Copy(io.Discard, document)
	}
	fault, ok := errors.AsType[*decode.FaultError](err)
	if !ok {
		return nil
	}
	return fault
}

// isXML says whether an answer claims to be XML.
func isXML(contentType string) bool { return strings.Contains(contentType, "xml") }

// finalFault says that an answer with a status that is worth a retry is not: the server says that the request is wrong.
func finalFault(status int, h http.Header, head []byte) bool {
	contentType := h.Get("Content-Type")
	if status != http.StatusInternalServerError || !isXML(contentType) {
		return false
	}
	fault := soapFault(head, contentType)
	return fault != nil && fault.OfTheRequest()
}
