package decode

import (
	"bytes"
	"html"
	"regexp"
	"strings"
)

// LooksLikeHTML says whether an answer, of which the first bytes are given, is a page for people: a login or an error page
// where data were expected. The title is what the page calls itself, in one short line; it may be empty.
func LooksLikeHTML(first []byte) (title string, ok bool) {
	rest := bytes.TrimPrefix(first, []byte("\xef\xbb\xbf"))
	for {
		rest = bytes.TrimLeft(rest, " \t\r\n\f")
		found := false
		switch {
		case bytes.HasPrefix(rest, []byte("<!--")):
			_, rest, found = bytes.Cut(rest, []byte("-->"))
		case bytes.HasPrefix(rest, []byte("<?")):
			_, rest, found = bytes.Cut(rest, []byte("?>"))
		case beginsPage(rest):
			return titleOf(rest), true
		}
		if !found {
			return "", false
		}
	}
}

// beginsPage says whether a text begins with a tag that only pages begin with.
func beginsPage(text []byte) bool {
	const longest = 32
	head := strings.ToLower(string(text[:min(len(text), longest)]))
	if after, ok := strings.CutPrefix(head, "<!doctype"); ok {
		return strings.HasPrefix(strings.TrimLeft(after, " \t\r\n"), "html")
	}
	for _, tag := range []string{"<html", "<head", "<body", "<title", "<script", "<h1"} {
		if after, ok := strings.CutPrefix(head, tag); ok && (after == "" || strings.ContainsRune(" \t\r\n/>", rune(after[0]))) {
			return true
		}
	}
	return false
}

// titleOf gives the text of the first title, or of the first heading.
func titleOf(page []byte) string {
	for _, tag := range []string{"title", "h1"} {
		m := regexp.MustCompile(`(?is)<` + tag + `(?:\s[^>]*)?>([^<]*)`).FindSubmatch(page)
		if m == nil {
			continue
		}
		if title := oneLine(string(m[1])); title != "" {
			return title
		}
	}
	return ""
}

// oneLine makes one short line of a text.
func oneLine(text string) string {
	const most = 2000 // who shows it clips it, once secrets are taken out
	text = strings.Join(strings.Fields(html.UnescapeString(strings.ToValidUTF8(text, "\uFFFD"))), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
