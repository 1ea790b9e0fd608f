package stored

import (
	"encoding/json"
	"fmt"

	"github.com/deltahook/deltahook/poller"
)

// StateRow is a poller.State as it is stored. What came from upstream or is opaque stands beside the JSON text, because
// JSON would not keep its bytes: an ETag need not be UTF-8, and a nested value would be written anew.
type StateRow struct {
	Text                       string
	ETag, LastModified, Cursor []byte
}

// EncodeState gives what is stored of a state. Version, Sequence and Records have columns of their own.
func EncodeState(st poller.State) (StateRow, error) {
	row := StateRow{
		ETag: []byte(st.Validators.ETag), LastModified: []byte(st.Validators.LastModified), Cursor: st.Cursor,
	}
	st.Validators.ETag, st.Validators.LastModified, st.Cursor = "", "", nil
	text, err := json.Marshal(st)
	if err != nil {
		return StateRow{}, fmt.Errorf("state: %w", err)
	}
	row.Text = string(text)
	return row, nil
}

// Decode fills st; Version, Sequence and Records are the columns' and stay.
func (row StateRow) Decode(st *poller.State) error {
	if row.Text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(row.Text), st); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	st.Validators.ETag, st.Validators.LastModified = string(row.ETag), string(row.LastModified)
	st.Cursor = row.Cursor
	return nil
}
