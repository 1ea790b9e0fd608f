package poller

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/differ"
)

// shapes are one listing in the formats that are understood, each before and after a change, cut off, and as an error.
func shapes() []formatShape {
	list := func(path string) func(*Source) {
		return func(s *Source) { s.Records = differ.MustPath(path) }
	}
	soap := func(item string) string {
		return `<?xml version="1.0"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>` +
			`<m:List xmlns:m="urn:erp">` + item + `</m:List></soap:Body></soap:Envelope>`
	}
	return []formatShape{
		{
			name: "ndjson", kind: "application/x-ndjson", conf: list("@this"),
			before: "{\"id\":\"1\",\"n\":1.10}\n{\"id\":\"2\"}\n", after: "{\"id\":\"1\",\"n\":1.20}\r\n\r\n{\"id\":\"2\"}\r\n",
			cut: "{\"id\":\"1\",\"n\":1.10}\n{\"id\":\"2\"", cutSays: "page 1", told: "updated 1 n",
		},
		{
			name: "csv", kind: "text/csv", conf: list("@this"),
			before: "id;name\n007;Ann\n008;\"B;o\"\n", after: "id;name\n007;Anna\n008;\"B;o\"\n",
			cut: "id;name\n007;Ann\n008", cutSays: "page 1", told: "updated 007 name",
		},
		{
			name: "xml", kind: "text/xml", conf: list("list.item"),
			before: "<list><item><id>007</id><name>Ann</name></item></list>", after: "<list><item><id>007</id><name>Anna</name></item></list>",
			cut: "<list><item><id>007</id><name>Ann</name></item>", cutSays: "page 1", told: "updated 007 name",
		},
		{
			name: "xml", kind: "text/xml", conf: list("Envelope.Body.List.item"),
			before: soap("<item><id>1</id><n>a</n></item><item><id>2</id></item>"), after: soap("<item><id>1</id><n>b</n></item><item><id>2</id></item>"),
			cut:     soap("")[:120],
			cutSays: "page 1", told: "updated 1 n",
		},
	}
}

type formatShape struct {
	name, kind          string
	conf                func(*Source)
	before, after, told string
	cut, cutSays        string
}

func TestEveryFormatIsFollowedAndACutAnswerDeletesNothing(t *testing.T) {
	for _, c := range shapes() {
		t.Run(c.name+" "+c.kind, func(t *testing.T) {
			answer := reply(200, c.kind, c.before)
			r := newRig(t, func(w http.ResponseWriter, q *http.Request) { answer(w, q) }, func(s *Source) {
				s.Response.Format = c.name
				c.conf(s)
			})
			r.want(Complete)
			answer = reply(200, c.kind, c.after)
			r.want(Complete)
			r.tells(c.told)
			for _, bad := range []struct{ kind, body, says string }{
				{c.kind, c.cut, c.cutSays},
				{"text/html", "<html><head><title>Sign in to ERP</title></head><body>", ""},
				{c.kind, "", ""},
			} {
				if bad.body == "" && c.name == "ndjson" {
					continue // an empty list, which the guard holds
				}
				answer = reply(200, bad.kind, bad.body)
				r.untouched(func() {
					if got := r.want(Failed); !strings.Contains(got.Message, bad.says) {
						t.Errorf("%q gave %q, want %q", bad.body, got.Message, bad.says)
					}
				})
			}
		})
	}
}

func TestOneElementWhereThereWereTwoIsAListOfOne(t *testing.T) {
	body := "<list><item><id>1</id></item><item><id>2</id></item></list>"
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) { reply(200, "text/xml", body)(w, q) }, func(s *Source) {
		s.Response.Format, s.Records, s.Deletes.Confirm = "xml", differ.MustPath("list.item"), 1
	})
	r.want(Complete)
	body = "<list><item><id>2</id></item></list>"
	r.want(Complete)
	r.tells("deleted 1")
}

func TestASOAPFaultIsTheServersOwnError(t *testing.T) {
	const fault = `<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><soap:Fault>` +
		`<faultcode>soap:Client</faultcode><faultstring>session has expired</faultstring></soap:Fault></soap:Body></soap:Envelope>`
	r := newRig(t, reply(200, "text/xml", fault), func(s *Source) {
		s.Response.Format, s.Records = "xml", differ.MustPath("Envelope.Body.List.item")
	})
	if got := r.want(Failed); !strings.Contains(got.Message, "SOAP fault") || !strings.Contains(got.Message, "session has expired") {
		t.Errorf("message %q", got.Message)
	}
}

func TestT34AnErrorInsideA200IsAFailureWithItsText(t *testing.T) {
	condition, err := differ.ParseCondition("ok == false")
	if err != nil {
		t.Fatal(err)
	}
	body := `{"ok":true,"items":[{"id":"1"}]}`
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) { reply(200, "application/json", body)(w, q) }, func(s *Source) {
		s.Records = differ.MustPath("items")
		s.Response.Error, s.Response.Message = condition, differ.MustPath("error.text")
	})
	r.want(Complete)
	for _, body = range []string{
		`{"ok":false,"error":{"text":"quota\n exceeded"}}`,
		`{"ok":false,"items":[],"error":{"text":"quota exceeded"}}`,
	} {
		r.untouched(func() {
			if got := r.want(Failed); got.Message != "page 1: the server says: quota exceeded (200, "+sizeForPeople(int64(len(body)))+", application/json)" {
				t.Errorf("message %q", got.Message)
			}
		})
	}
}

// Servers in Go write null for an empty list, HAL, SCIM and Google leave it out.
func TestAnAnswerWithoutAListIsAnEmptyOneOnlyWhereItSaysSo(t *testing.T) {
	body := `{"total":2,"items":[{"id":"1"},{"id":"2"}]}`
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) { reply(200, "application/json", body)(w, q) }, func(s *Source) {
		s.Records, s.Guard.Empty, s.Deletes.Confirm = differ.MustPath("items"), "allow", 1
		s.Response.Empty, s.Response.Error = condition("total == 0"), condition("failed")
	})
	r.want(Complete)
	for _, body = range []string{
		`{"total":2}`, `{"total":2,"items":null}`, `{}`, `null`, `{"total":0,"items":{}}`, `{"total":0,"items":"none"}`,
		`{"total":0,"failed":true}`, `{"total":0,"items":nu`, `<html>{"total":0}`,
	} {
		r.untouched(func() {
			got := r.want(Failed)
			if forgotten := body == `{"total":2,"items":null}` || body == `{}`; forgotten && !strings.Contains(got.Hint, "response.empty") {
				t.Errorf("%s: hint %q", body, got.Hint)
			}
		})
	}
	body = `{"total":0,"items":null}`
	r.want(Complete)
	r.tells("deleted 1", "deleted 2")
	body = `{"total":1,"items":[{"id":"3"}]}`
	r.want(Complete)
	r.tells("created 3")
	body = `{"total":0}`
	r.want(Complete)
	r.tells("deleted 3")
}

func TestNullAloneIsAnEmptyListOnlyWhereTheConfigurationSaysSo(t *testing.T) {
	body := `[{"id":"1"}]`
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) { reply(200, "application/json", body)(w, q) }, func(s *Source) {
		s.Guard.Empty, s.Deletes.Confirm, s.Response.Empty = "allow", 1, condition("@this == null")
	})
	r.want(Complete)
	body = `{"error":"backend"}`
	r.untouched(func() { r.want(Failed) })
	body = `null`
	r.want(Complete)
	r.tells("deleted 1")
}

// endless answers like a server of HTTP/1.0: the end of the connection is the end of the answer.
func endless(t *testing.T, w http.ResponseWriter, kind, body string, headers ...string) {
	t.Helper()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n%s\r\n%s", kind, strings.Join(headers, ""), body)
}

func TestT2WhatEndsWithItsConnectionAndHasNoEndOfItsOwnProvesNothing(t *testing.T) {
	for _, c := range []struct{ format, whole, cut string }{
		{"csv", "id,v\n1,a\n2,b\n3,c\n", "id,v\n1,a\n"},
		{"ndjson", "{\"id\":\"1\"}\n{\"id\":\"2\"}\n{\"id\":\"3\"}\n", "{\"id\":\"1\"}\n"},
	} {
		t.Run(c.format, func(t *testing.T) {
			body := c.whole
			r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
				if q.Header.Get("If-None-Match") != "" {
					t.Error("the answer that may have been cut off was taken for the list")
				}
				endless(t, w, "text/plain", body, "ETag: \"1\"\r\n")
			}, func(s *Source) { s.Response.Format, s.Deletes.Confirm = c.format, 1 })
			r.want(Partial)
			body = c.cut
			if got := r.want(Partial); !strings.Contains(got.Message, "page 1 ends with its connection") {
				t.Errorf("message %q", got.Message)
			}
			r.tells()
			body = strings.Replace(c.whole, "3", "4", 1)
			r.want(Partial)
			r.tells("created 4")
			body = "id,v\n1,a\n2,b\n12" // of "123,c", or all that there is?
			r.untouched(func() { r.want(Failed) })
		})
	}
}

func TestWhatEndsWithItsConnectionIsAListingWhereItHasAnEndOfItsOwn(t *testing.T) {
	body := `[{"id":"1"},{"id":"2"},{"id":"3"}]`
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { endless(t, w, "application/json", body) }, func(s *Source) { s.Deletes.Confirm = 1 })
	r.want(Complete)
	body = `[{"id":"1"},{"id":"2"}]`
	r.want(Complete)
	r.tells("deleted 3")
}

func TestARecordThatIsNoUTF8PassesAndIsSaid(t *testing.T) {
	body := "[{\"id\":\"1\",\"name\":\"M\xfcller\"},{\"id\":\"2\",\"name\":\"Ann\"}]"
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) { reply(200, "application/json", body)(w, q) }, nil)
	if got := r.want(Complete); !strings.Contains(got.Message, `record "1" is not valid UTF-8`) || !strings.Contains(got.Message, "response.charset") {
		t.Errorf("message %q", got.Message)
	}
	body = strings.Replace(body, "Ann", "Bo", 1)
	if got := r.want(Complete); got.Message != "" {
		t.Errorf("message %q of a record that is", got.Message)
	}
	r.edit(func(s *Source) { s.Response.Charset = "windows-1252" })
	if got := r.want(Complete); got.Message != "" {
		t.Errorf("message %q with the charset", got.Message)
	}
	r.tells("updated 2 name", "updated 1 name")
}

func TestADeclaredCharsetIsConvertedAndAConfiguredOneWins(t *testing.T) {
	body, kind := "id;name\n1;M\xfcller\n", "text/csv; charset=ISO-8859-1"
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) { reply(200, kind, body)(w, q) }, func(s *Source) {
		s.Response.Format = "csv"
	})
	r.want(Complete)
	kind, body = "text/csv; charset=utf-8", "id;name\n1;Müller\n"
	r.want(Unchanged)
	r.edit(func(s *Source) { s.Response.Charset = "windows-1252" })
	body, kind = "id;name\n1;M\xfcller \x80\n", "text/csv"
	r.want(Complete)
	r.tells("updated 1 name")
}
