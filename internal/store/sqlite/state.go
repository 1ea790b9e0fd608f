package sqlite

import (
	"encoding/json"
	"fmt"

	"github.com/deltahook/deltahook/poller"
)

// stateRow is a poller.State as it is stored. What came from upstream or is opaque stands beside the JSON text, because
// JSON would not keep its bytes: an ETag need not be UTF-8, and a nested value would be written anew.
type stateRow struct {
	text                       string
	etag, lastModified, cursor []byte
}

func encodeState(st poller.State) (stateRow, error) {
	row := stateRow{
		etag: []byte(st.Validators.ETag), lastModified: []byte(st.Validators.LastModified), cursor: st.Cursor,
	}
	st.Validators.ETag, st.Validators.LastModified, st.Cursor = "", "", nil
	text, err := json.Marshal(st)
	if err != nil {
		return stateRow{}, fmt.Errorf("state: %w", err)
	}
	row.text = string(text)
	return row, nil
}

// decode fills st; Version, Sequence and Records are the columns' and stay.
func (row stateRow) decode(st *poller.State) error {
	if row.text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(row.text), st); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	st.Validators.ETag, st.Validators.LastModified = string(row.etag), string(row.lastModified)
	st.Cursor = row.cursor
	return nil
}
