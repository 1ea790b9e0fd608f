package poller

import (
	"fmt"
	"strings"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// recordNames are the placeholders that stand for a record: they have a value where one record is asked for, and nowhere else.
func recordNames() []string { return []string{"key", "record"} }

// newRecordPart reads {record.PATH}.
func newRecordPart(written, argument string, where place) (part, error) {
	text, ok := strings.CutPrefix(argument, ".")
	if !ok || text == "" {
		return part{}, &setting.HintedError{Message: "placeholder " + written + " does not say what of the record is meant", Hint: "write {record.PATH}, like {record.customer.id}"}
	}
	path, err := differ.ParsePath(text)
	if err != nil {
		return part{}, &setting.HintedError{Message: "placeholder " + written + ": " + err.Error(), Hint: "write {record.PATH}, like {record.customer.id}"}
	}
	return part{name: "record", path: path, where: where}, nil
}

// ofRecord gives the value of a placeholder that stands for a record.
func (v values) ofRecord(p part) (string, error) {
	text := v.key
	switch {
	case v.record == nil && v.key == "" && v.partition == "": // the text is only checked
		return "0", nil
	case p.name == "partition":
		text = v.partition
	case p.name == "record":
		found := p.path.Get(v.record)
		switch found.Kind() {
		case differ.String, differ.Number, differ.Bool:
			text = found.Text()
		case differ.Missing, differ.Null, differ.Object, differ.Array:
			return "", fmt.Errorf("{record.%s} is %s in this record", p.path, found.Kind())
		}
	}
	if p.where == inPath && (text == "" || text == "." || text == "..") {
		return "", fmt.Errorf("%q cannot be a part of a path", text) // it would lead to another address
	}
	return text, nil
}
