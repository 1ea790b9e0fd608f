package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEveryPromiseNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("promises.md")
	if err != nil {
		t.Fatal(err)
	}
	there := testNames(t)
	for line := range strings.SplitSeq(string(page), "\n") {
		if !strings.HasPrefix(line, "| P") {
			continue
		}
		names := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(line, -1)
		if len(names) == 0 {
			t.Errorf("no test is named in: %s", line)
		}
		for _, name := range names {
			if !there[name[1]] {
				t.Errorf("there is no test %s", name[1])
			}
		}
	}
}

// testNames finds the tests of the whole project.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	find := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range find.FindAllSubmatch(text, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
