// Command benchtable reads what "go test -bench" prints and writes one table: what was measured, the figure, its bound, the ratio of
// both, and the target. See docs/performance.md.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

func main() {
	found, err := read(os.Stdin, os.Stderr)
	if err == nil {
		err = write(os.Stdout, found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(1)
	}
}

// results has the values of each benchmark by unit; a benchmark that ran several times has several.
type results map[string]map[string][]float64

var (
	processors = regexp.MustCompile(`-\d+$`)
	column     = regexp.MustCompile(`\s+`)
)

// read takes the lines of benchmarks, and hands on the others that a person should see.
func read(from io.Reader, others io.Writer) (results, error) {
	found := results{}
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		fields := column.Split(strings.TrimSpace(line), -1)
		if !strings.HasPrefix(line, "Benchmark") || len(fields) < 4 {
			if strings.Contains(line, "FAIL") || strings.HasPrefix(line, "    ") {
				fmt.Fprintln(others, line)
			}
			continue
		}
		name := processors.ReplaceAllString(fields[0], "")
		fmt.Fprintln(others, "measured", name)
		if found[name] == nil {
			found[name] = map[string][]float64{}
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
				found[name][fields[i+1]] = append(found[name][fields[i+1]], value)
			}
		}
	}
	return found, lines.Err()
}

// value gives the median of what was measured.
func (r results) value(name, unit string) (float64, bool) {
	all := slices.Sorted(slices.Values(r[name][unit]))
	if len(all) == 0 {
		return 0, false
	}
	return all[len(all)/2], true
}

// write writes the rows that were measured.
func write(to io.Writer, found results) error {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WHAT\tFIGURE\tBOUND\tRATIO\tTARGET\t")
	for _, r := range rows() {
		if _, ok := found[r.bench]; ok {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", r.what, r.show(found, r.figure), r.show(found, r.bound), r.show(found, r.ratio), r.judge(found))
		}
	}
	return t.Flush()
}

// show gives a value with its unit; a unit that the benchmark does not have is a text of its own.
func (r row) show(found results, unit string) string {
	value, ok := found.value(r.bench, unit)
	if !ok {
		return unit
	}
	text := strconv.FormatFloat(value, 'g', 3, 64)
	if value >= 1000 {
		text = strconv.FormatFloat(value, 'f', 0, 64)
	}
	if strings.HasPrefix(unit, "x/") {
		return text + "x"
	}
	return text + " " + strings.ReplaceAll(unit, "-", " ")
}

// judge gives the target and whether it was met.
func (r row) judge(found results) string {
	value, ok := found.value(r.bench, r.target.unit)
	if !ok {
		return ""
	}
	text, met := "<= ", value <= r.target.limit
	if r.target.least {
		text, met = ">= ", value >= r.target.limit
	}
	text += strconv.FormatFloat(r.target.limit, 'g', -1, 64)
	if met {
		return text + " met"
	}
	return text + " MISSED"
}
