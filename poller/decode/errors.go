package decode

import (
	"fmt"
	"strings"
)

// SyntaxError says that an answer is not what its format asks for.
type SyntaxError struct {
	Format    string // "ndjson", "xml", "csv"
	Line      int    // from 1
	Offset    int64  // in the text after decompression and in UTF-8; of the byte that is wrong, or of the beginning of its row
	What      string // what is wrong there
	Truncated bool   // the answer is fine as far as it goes, but it ends too early
}

// Error says what is wrong and where.
func (e *SyntaxError) Error() string {
	if e.Truncated {
		return fmt.Sprintf("the answer breaks off in line %d: %s", e.Line, e.What)
	}
	return fmt.Sprintf("the answer is not %s: line %d (byte %d): %s", e.formatName(), e.Line, e.Offset, e.What)
}

func (e *SyntaxError) formatName() string {
	switch e.Format {
	case "xml":
		return "XML"
	case "csv":
		return "CSV"
	}
	return "NDJSON"
}

// TooLargeError says that the answer, or a part that has to be held, is larger than its limit. Nothing is ever cut to fit.
type TooLargeError struct {
	What  string // "row", "record", "answer without its records" …
	Limit int64  // bytes
	Line  int    // where the part begins; 0: not known
}

// Error names the part and its limit.
func (e *TooLargeError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("the %s at line %d is larger than %d bytes", e.What, e.Line, e.Limit)
	}
	return fmt.Sprintf("the %s is larger than %d bytes", e.What, e.Limit)
}

// CharsetError says that the charset of an answer is unknown, or that there are two.
type CharsetError struct {
	Charset  string // that should be used
	Declared string // by what, when it is not the configuration: "the Content-Type", "the XML declaration"
	Mark     string // charset of the byte order mark that contradicts a configured one
}

// Error names the charset and who said so.
func (e *CharsetError) Error() string {
	if e.Mark != "" {
		return fmt.Sprintf("the answer begins with the byte order mark of %s, but the configured charset is %s", e.Mark, e.Charset)
	}
	return fmt.Sprintf("%s declares the charset %q, which is not known", e.Declared, e.Charset)
}

// NextStep says what to configure.
func (e *CharsetError) NextStep() string {
	if e.Mark != "" {
		return "remove response.charset, or set it to " + e.Mark
	}
	return "set response.charset to what the server really sends"
}

// FaultError is a SOAP fault: the server answers that it cannot answer.
type FaultError struct {
	Code string // "soap:Client", "env:Sender"
	Text string // for people, in one line
}

// OfTheRequest says whether the fault is one of the request, so that the same request will not do better (SOAP 1.1, 4.4.1;
// SOAP 1.2, 5.4.6).
func (e *FaultError) OfTheRequest() bool {
	code, _, _ := strings.Cut(e.Code, " ")
	code = code[strings.LastIndexByte(code, ':')+1:]
	code, _, _ = strings.Cut(code, ".") // "Client.Authentication"
	switch code {
	case "Client", "Sender", "VersionMismatch", "MustUnderstand", "DataEncodingUnknown":
		return true
	}
	return false
}

// Error gives the text of the fault.
func (e *FaultError) Error() string {
	text := "the server answered with a SOAP fault"
	if e.Code != "" {
		text += ", " + e.Code
	}
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}
