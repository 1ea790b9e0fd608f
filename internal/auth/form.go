package auth

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// isLoginForm says whether an answer to a request with a session is what systems for people do when it is over: their page with status
// 200, or a redirect to where one logs in. Data never looks like that, and a new session does no harm if it was another page.
func isLoginForm(a Answer) bool {
	switch {
	case a.Status >= 200 && a.Status < 300:
		return isHTML(a.Header) && beginsPage(a.Header, a.Head)
	case a.Status >= 300 && a.Status < 400:
		u, err := url.Parse(a.Header.Get("Location"))
		return err == nil && loginPath.MatchString(u.Path)
	}
	return false
}

var (
	loginPath = regexp.MustCompile(`(?i)(^|/)(log|sign)[-_]?[io]n(\.[a-z]+)?/?$`) // not "logins" nor "signing", which may be data
	pageStart = regexp.MustCompile(`(?i)^(<!--[^>]*>\s*)*<(!doctype\s+html|html|head|body)\b`)
)

func isHTML(h http.Header) bool {
	kind := strings.ToLower(h.Get("Content-Type"))
	return strings.HasPrefix(kind, "text/html") || strings.HasPrefix(kind, "application/xhtml")
}

// beginsPage says whether a body begins as pages in HTML do: some servers call their data text/html, too.
func beginsPage(h http.Header, head []byte) bool {
	if strings.EqualFold(h.Get("Content-Encoding"), "gzip") {
		z, err := gzip.NewReader(bytes.NewReader(head))
		if err != nil {
			return false
		}
		head, _ = io.ReadAll(io.LimitReader(z, 1<<10)) // what is there of a damaged one is looked at, too
	}
	return pageStart.Match(bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))))
}
