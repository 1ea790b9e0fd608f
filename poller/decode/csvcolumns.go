package decode

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// longestName keeps a few bytes of a row from growing into very many of a record.
const longestName = 1 << 10

func (c CSV) validate() error {
	if c.Delimiter != "" && c.Delimiter != autoDelim && (len(c.Delimiter) != 1 || !isDelimiter(c.Delimiter[0])) {
		return fmt.Errorf("csv delimiter %q is not one punctuation character, like \",\", \";\" or a tab", c.Delimiter)
	}
	for i, name := range c.Columns {
		if name == "" || len(name) > longestName || slices.Contains(c.Columns[:i], name) {
			return fmt.Errorf("csv column name %q is empty, too long or there twice", name)
		}
	}
	if lacking := missing(c.Require, c.Columns); lacking != "" && len(c.Columns) > 0 {
		return fmt.Errorf("csv column %q is needed and not among the configured ones", lacking)
	}
	return nil
}

func isDelimiter(c byte) bool {
	return c == '\t' || strings.IndexByte(" !#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c) >= 0
}

// missing gives the first of wanted that is not in have.
func missing(wanted, have []string) string {
	for _, name := range wanted {
		if !slices.Contains(have, name) {
			return name
		}
	}
	return ""
}

// columns gives the names of the columns, from the header row unless they are configured.
func (t *table) columns() ([]string, error) {
	if len(t.opts.Columns) > 0 {
		return t.opts.Columns, nil
	}
	n, err := t.row()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(t.fields))
	for i := range t.fields {
		names[i] = string(bytes.TrimSpace(t.fields[i].value()))
		if len(names[i]) > longestName {
			return nil, t.wrong(0, "the name of a column is longer than "+strconv.Itoa(longestName)+" bytes", false)
		}
	}
	names = unique(names)
	if lacking := missing(t.opts.Require, names); lacking != "" {
		return nil, t.wrong(0, fmt.Sprintf("the header row has no column %q; it has %s", lacking, oneLine(strings.Join(names, ", "))), false)
	}
	t.consume(n)
	return names, nil
}

// unique gives columns without a name, and those whose name stands further left too, a name of their own: column_3, price_2.
func unique(names []string) []string {
	taken := map[string]int{} // how often it was given
	for _, name := range names {
		taken[name] = 0
	}
	out := make([]string, len(names))
	for i, name := range names {
		if name != "" && taken[name] == 0 {
			out[i], taken[name] = name, 1
			continue
		}
		if name == "" {
			name = "column_" + strconv.Itoa(i+1)
		} else {
			taken[name]++
		}
		out[i] = name
		for n := max(taken[name], 2); has(taken, out[i]); n++ {
			out[i] = name + "_" + strconv.Itoa(n)
		}
		taken[out[i]] = 1
	}
	return out
}

func has(m map[string]int, key string) bool {
	_, ok := m[key]
	return ok
}
