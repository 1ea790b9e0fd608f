package guess

import (
	"slices"
	"strings"
	"unicode"
)

// plain folds a name for comparison: "next_page_token", "nextPageToken" and "@nextPageToken" are one.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}

// words splits a name where its writer did: "customerID", "customer_id" and "customer-id" are customer and id.
func words(name string) []string {
	var out []string
	var word []rune
	runes := []rune(name)
	flush := func() {
		if len(word) > 0 {
			out = append(out, strings.ToLower(string(word)))
		}
		word = nil
	}
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush()
			continue
		case unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])):
			flush()
		}
		word = append(word, r)
	}
	flush()
	return out
}

// singular takes the plural off a word, as far as it is regular.
func singular(word string) string {
	switch {
	case strings.HasSuffix(word, "ies"):
		return strings.TrimSuffix(word, "ies") + "y"
	case strings.HasSuffix(word, "ses"), strings.HasSuffix(word, "xes"):
		return strings.TrimSuffix(word, "es")
	case strings.HasSuffix(word, "s") && !strings.HasSuffix(word, "ss"):
		return strings.TrimSuffix(word, "s")
	}
	return word
}

// in says whether a folded name is one of the words of a list, which are separated by blanks.
func in(name, list string) bool { return slices.Contains(strings.Fields(list), name) }

// SourceName makes the name of a source from a URL path: the last part of it that says something.
func SourceName(path string) string {
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == ';' || r == '?' })
	slices.Reverse(parts)
	for _, part := range parts {
		stem, _, _ := strings.Cut(part, ".")
		if name := sourceName(stem); name != "" && !in(name, "api rest v1 v2 v3 v4 json xml csv index list search query graphql default all") {
			return name
		}
	}
	return "api"
}

func sourceName(text string) string {
	name := strings.Map(func(r rune) rune {
		switch r = unicode.ToLower(r); {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, text)
	name = strings.TrimLeft(name, "0123456789_-")
	const longest = 40
	return strings.TrimRight(name[:min(len(name), longest)], "_-")
}
