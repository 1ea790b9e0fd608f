package decode

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
)

// isFault says whether an element that begins now is a SOAP fault (SOAP 1.1, 4.4; SOAP 1.2, 5.4).
func (t *tree) isFault(name xml.Name) bool {
	const fault, depth = "Fault", 3
	return name.Local == fault && len(t.open) == depth && t.open[1].name == "Envelope" && t.open[2].name == "Body" &&
		(name.Space == "http://schemas.xmlsoap.org/soap/envelope/" || name.Space == "http://www.w3.org/2003/05/soap-envelope")
}

// newFault reads a fault of either version.
func newFault(e *element) error {
	var v any
	if err := json.Unmarshal(e.appendTo(nil), &v); err != nil {
		return fmt.Errorf("read a SOAP fault: %w", err)
	}
	f, ok := v.(map[string]any)
	if !ok {
		return &FaultError{Text: textsOf(v)}
	}
	err := &FaultError{Code: textsOf(f["faultcode"]), Text: textsOf(f["faultstring"])}
	if code, ok := f["Code"].(map[string]any); ok {
		err.Code = strings.TrimSpace(textsOf(code["Value"]) + " " + textsOf(code["Subcode"]))
	}
	if reason, ok := f["Reason"].(map[string]any); ok {
		err.Text = textsOf(first(reason["Text"]))
	}
	for _, detail := range []string{"detail", "Detail"} {
		if err.Text == "" {
			err.Text = textsOf(f[detail])
		}
	}
	return err
}

// first gives the first of several.
func first(v any) any {
	if list, ok := v.([]any); ok && len(list) > 0 {
		return list[0]
	}
	return v
}

// textsOf gives all text in an element as one short line, in the order of the members' names.
func textsOf(v any) string {
	var texts []string
	switch v := v.(type) {
	case string:
		texts = append(texts, v)
	case []any:
		for _, item := range v {
			texts = append(texts, textsOf(item))
		}
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			if !strings.HasPrefix(name, "@") {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			texts = append(texts, textsOf(v[name]))
		}
	}
	return oneLine(strings.Join(texts, " "))
}
