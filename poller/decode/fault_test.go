package decode

import "testing"

const (
	fault11 = `<?xml version="1.0"?>
<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Header/><soap:Body>
 <soap:Fault><faultcode>soap:Client</faultcode><faultstring xml:lang="en">Session
  expired</faultstring><detail><e:code xmlns:e="urn:e">17</e:code></detail></soap:Fault>
</soap:Body></soap:Envelope>`
	fault12 = `<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"><env:Body><env:Fault>
 <env:Code><env:Value>env:Sender</env:Value><env:Subcode><env:Value>m:Timeout</env:Value></env:Subcode></env:Code>
 <env:Reason><env:Text xml:lang="en">Too late</env:Text><env:Text xml:lang="de">Zu spät</env:Text></env:Reason>
</env:Fault></env:Body></env:Envelope>`
	faultDetail = `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Fault><faultcode>Server</faultcode><faultstring/>
 <detail><text>no such table</text><place><line>4</line><line>5</line></place></detail></Fault></Body></Envelope>`
	faultEmpty = `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Fault/></Body></Envelope>`
)

func TestASOAPFaultIsAnErrorWithItsText(t *testing.T) {
	for in, f := range map[string]FaultError{
		fault11:     {Code: "soap:Client", Text: "Session expired"},
		fault12:     {Code: "env:Sender m:Timeout", Text: "Too late"},
		faultDetail: {Code: "Server", Text: "4 5 no such table"},
		faultEmpty:  {},
		`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Fault>No</Fault></Body></Envelope>`: {Text: "No"},
	} {
		for _, records := range []string{"", "Envelope.Body.ListResponse.item", "Envelope.Body.Fault"} {
			got := failsWith[*FaultError](t, in, Options{Format: "xml", Records: records}, "SOAP fault", f.Code, f.Text)
			if got != nil && *got != f {
				t.Errorf("got %+v", *got)
			}
		}
	}
}

func TestAFaultOfTheRequestIsToldFromOneOfTheServer(t *testing.T) {
	for code, want := range map[string]bool{
		"soap:Client": true, "Client": true, "env:Sender m:Timeout": true, "soap:Client.Authentication": true, "soap:MustUnderstand": true,
		"soap:Server": false, "env:Receiver": false, "": false, "x:Busy": false,
	} {
		if got := (&FaultError{Code: code}).OfTheRequest(); got != want {
			t.Errorf("%s: %t", code, got)
		}
	}
}

func TestOtherElementsCalledFaultAreData(t *testing.T) {
	for in, document := range map[string]string{
		`<Fault>1</Fault>`: `{"Fault":"1"}`,
		`<Envelope><Body><Fault>1</Fault></Body></Envelope>`:                                                                    `{"Envelope":{"Body":{"Fault":"1"}}}`,
		`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><R><Fault>1</Fault></R></Body></Envelope>`:           `{"Envelope":{"Body":{"R":{"Fault":"1"}}}}`,
		`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Fault xmlns="urn:x">1</Fault></Body></Envelope>`:    `{"Envelope":{"Body":{"Fault":"1"}}}`,
		`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Header><Fault>1</Fault></Header><Body></Body></Envelope>`: `{"Envelope":{"Header":{"Fault":"1"},"Body":""}}`,
	} {
		want(t, in, Options{Format: "xml"}, document)
	}
}
