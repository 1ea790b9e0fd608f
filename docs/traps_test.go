package docs_test

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The lists of traps.md are complete, in order, and each trap has a test that bears its name.
func TestEveryTrapNamesTestsThatExistAndBearItsName(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("traps.md")
	if err != nil {
		t.Fatal(err)
	}
	there := testNames(t)
	row := regexp.MustCompile(`^\| ([DT][0-9]+) \|`)
	tested := regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
	tags := regexp.MustCompile(`^Test((?:[DTP][0-9]+)+)`)
	var rows []string
	for line := range strings.SplitSeq(string(page), "\n") {
		m := row.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		trap, named := m[1], false
		rows = append(rows, trap)
		for _, name := range tested.FindAllStringSubmatch(line, -1) {
			if !there[name[1]] {
				t.Errorf("%s: there is no test %s", trap, name[1])
			}
			if tag := tags.FindStringSubmatch(name[1]); tag != nil {
				named = named || slices.Contains(regexp.MustCompile(`[DTP][0-9]+`).FindAllString(tag[1], -1), trap)
			}
		}
		if !named {
			t.Errorf("%s: no test begins with its name: %s", trap, line)
		}
	}
	want := slices.Concat(numbered("D", 17), numbered("T", 32), numbered("T", 23))
	if !slices.Equal(rows, want) {
		t.Errorf("the rows are %v\nwant %v", rows, want)
	}
}

func numbered(letter string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = letter + strconv.Itoa(i+1)
	}
	return list
}
