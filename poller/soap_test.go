package poller

import (
	"net/http"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/differ"
)

func envelope(inside string) string {
	return `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>` + inside + `</s:Body></s:Envelope>`
}

func faultOf(code, text string) string {
	return envelope(`<s:Fault><faultcode>s:` + code + `</faultcode><faultstring>` + text + `</faultstring></s:Fault>`)
}

func TestASOAPFaultUnderAnErrorStatusIsReadAndRetriedOnlyWhenItMayPass(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		kind   string
		body   string
		asked  int
		says   string
	}{
		"of the request":     {500, "text/xml; charset=utf-8", faultOf("Client", "No such period"), 1, "SOAP fault, s:Client: No such period"},
		"of the server":      {500, "text/xml", faultOf("Server", "Deadlock"), 3, "SOAP fault, s:Server: Deadlock"},
		"SOAP 1.2, by 400":   {400, "application/soap+xml", faultOf("Sender", "Bad"), 1, "SOAP fault, s:Sender: Bad"},
		"in another charset": {500, "text/xml; charset=iso-8859-1", faultOf("Client", "Zeitraum ung\xfcltig"), 1, "Zeitraum ungültig"},
		"no fault":           {500, "text/xml", envelope("<a/>"), 3, "the server answered 500"},
		"cut":                {500, "text/xml", faultOf("Client", "x")[:120], 3, "the server answered 500"},
		"no XML":             {500, "text/html", "<h1>Envelope</h1>", 3, "the server answered 500"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
				asked++
				reply(c.status, c.kind, c.body)(w, q)
			}, func(s *Source) {
				s.Response.Format, s.Records = "xml", differ.MustPath("Envelope.Body.list.item")
				s.Retry.Attempts, s.Retry.Base, s.Retry.Max = 3, 1, 1
			})
			got := r.want(Failed)
			if asked != c.asked || !strings.Contains(got.Message, c.says) || strings.Count(got.Message, "SOAP fault") > 1 {
				t.Errorf("asked %d times: %s", asked, got.Message)
			}
		})
	}
}

func TestAFaultThatEchoesASecretIsShownWithoutIt(t *testing.T) {
	r := newRig(t, reply(500, "text/xml", faultOf("Client", "wrong key tok-planted-secret")), func(s *Source) {
		s.Headers = map[string]string{"X-Key": "{secret:env:TOKEN}"}
	})
	if got := r.want(Failed); strings.Contains(got.Message, "planted") || !strings.Contains(got.Message, "wrong key (secret)") {
		t.Error(got.Message)
	}
}
