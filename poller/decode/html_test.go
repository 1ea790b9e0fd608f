package decode

import (
	"strings"
	"testing"
)

func TestPagesForPeopleAreRecognised(t *testing.T) {
	for first, title := range map[string]string{
		"<!DOCTYPE html><html><head><title>Log in</title>":                           "Log in",
		"<!doctype HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\">\n<TITLE>\n a &amp;\tb": "a & b",
		"\xef\xbb\xbf \r\n<html lang=de><title lang=\"de\">M\xfcde</title>":          "M\uFFFDde",
		"<?xml version=\"1.0\"?>\n<!-- x -->\n<html xmlns=\"x\"/>":                   "",
		"<html":                                     "",
		"<body><H1>503 Unavailable":                 "503 Unavailable",
		"<html><title> </title><h1>No.":             "No.",
		"<h1 class=x>No</h1>":                       "No",
		"<html><title>" + strings.Repeat("x", 3000): strings.Repeat("x", 2000) + "…",
		"<script>location='/login'</script>":        "",
	} {
		if got, ok := LooksLikeHTML([]byte(first)); !ok || got != title {
			t.Errorf("%q: got %q, %v", first, got, ok)
		}
	}
}

func TestOtherAnswersAreNotTakenForPages(t *testing.T) {
	for _, first := range []string{
		"", " ", "{}", "id,name", "<", "<?xml version=\"1.0\"?><feed/>", "<!DOCTYPE feed>", "<header>", "<htmlish/>", "<headers><title>x</title></headers>",
		"<!-- <html> ", "<?xml <html>", "<!doctype>", "html", "<h10>",
	} {
		if title, ok := LooksLikeHTML([]byte(first)); ok {
			t.Errorf("%q is taken for a page called %q", first, title)
		}
	}
}
