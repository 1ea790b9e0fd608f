package decode

import (
	"bytes"
	"errors"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

const (
	charsetUTF8    = "utf-8"
	charsetUTF16   = "utf-16"
	charsetUTF16LE = "utf-16le"
	charsetUTF16BE = "utf-16be"
)

var errUnknownCharset = errors.New("unknown charset")

// lookupCharset finds an encoding by one of its names; nil is UTF-8, which needs no conversion. Names mean what browsers take
// them for: iso-8859-1 and us-ascii are windows-1252, which has characters where these have none. Names that browsers do not
// know are those of the IANA: ibm850, cp437.
func lookupCharset(name string) (encoding.Encoding, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // UTF-8
	}
	if e, err := htmlindex.Get(name); err == nil && e != encoding.Replacement {
		if canonical(name) == charsetUTF8 {
			return nil, nil //nolint:nilnil // UTF-8
		}
		return e, nil
	}
	if e, err := ianaindex.IANA.Encoding(name); err == nil && e != nil {
		return e, nil
	}
	return nil, errUnknownCharset
}

// canonical gives the one name of a charset that browsers know.
func canonical(name string) string {
	e, err := htmlindex.Get(name)
	if err != nil {
		return strings.ToLower(name)
	}
	name, err = htmlindex.Name(e)
	if err != nil {
		return strings.ToLower(name)
	}
	return name
}

// byteOrderMark finds the mark at the beginning of a text: the charset it stands for, and its length.
func byteOrderMark(head []byte) (charset string, size int) {
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		return charsetUTF8, 3
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		return charsetUTF16LE, 2
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		return charsetUTF16BE, 2
	}
	return "", 0
}

func encodingOfMark(charset string) encoding.Encoding {
	switch charset {
	case charsetUTF16LE:
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case charsetUTF16BE:
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	}
	return nil
}

// agrees says whether a configured charset and a byte order mark can both be right. Plain utf-16 leaves the order to the mark.
func agrees(configured, mark string) bool {
	if strings.EqualFold(configured, charsetUTF16) {
		return mark == charsetUTF16LE || mark == charsetUTF16BE
	}
	return canonical(configured) == mark
}

// charsetOfType gives the charset parameter of a Content-Type, leniently.
func charsetOfType(header string) string {
	_, params, _ := strings.Cut(header, ";")
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		if strings.EqualFold(strings.TrimSpace(name), "charset") {
			value, _, _ = strings.Cut(value, ",")
			return strings.Trim(value, " \t\"'")
		}
	}
	return ""
}

// charsetOfXML gives the encoding that an XML declaration names; not done means that the declaration goes on after head.
func charsetOfXML(head []byte) (charset string, done bool) {
	head = bytes.TrimLeft(head, " \t\r\n")
	const opening = "<?xml"
	switch size := min(len(head), len(opening)); {
	case string(head[:size]) != opening[:size], len(head) > size && strings.IndexByte(" \t\r\n", head[size]) < 0:
		return "", true
	case len(head) == size:
		return "", false
	}
	declaration, _, done := bytes.Cut(head, []byte("?>"))
	_, value, found := bytes.Cut(declaration, []byte("encoding"))
	value, found2 := bytes.CutPrefix(bytes.TrimSpace(value), []byte("="))
	value = bytes.TrimSpace(value)
	if !done || !found || !found2 || len(value) == 0 {
		return "", done
	}
	if end := bytes.IndexByte(value[1:], value[0]); end >= 0 {
		charset = string(value[1 : end+1])
	}
	if strings.HasPrefix(canonical(charset), charsetUTF16) {
		charset = "" // it could not have been read; what writes this has written to a string first
	}
	return charset, true
}
