package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// message is what some code says to a person: literal texts with something else between them.
type message struct {
	at    string
	parts []string // literals; between two of them stands what is not known
}

// pattern matches what the code may say.
func (m *message) pattern() *regexp.Regexp {
	quoted := make([]string, len(m.parts))
	for i, p := range m.parts {
		quoted[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile(strings.Join(quoted, ".*"))
}

// told says whether enough of the text is known to look for it.
func (m *message) told() bool { return len(strings.Join(m.parts, "")) >= 8 }

// textOf gives the literal parts of an expression; "" where something else stands.
func textOf(e ast.Expr) []string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return []string{text}
		}
	case *ast.ParenExpr:
		return textOf(e.X)
	case *ast.BinaryExpr:
		left, right := textOf(e.X), textOf(e.Y)
		joined := append(slices.Clone(left[:len(left)-1]), left[len(left)-1]+right[0])
		return append(joined, right[1:]...)
	case *ast.CallExpr:
		name := nameOf(e.Fun)
		if len(e.Args) > 0 && (name == "Sprintf" || name == "Errorf") {
			format := textOf(e.Args[0])
			return regexp.MustCompile(`%[-+# 0-9.\[\]]*[a-zA-Z]`).Split(strings.Join(format, "%v"), -1)
		}
		if len(e.Args) == 1 && name == "New" {
			return textOf(e.Args[0])
		}
	}
	return []string{"", ""}
}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// spoken collects the messages and hints of a folder: the arguments of calls that report something, and the fields of errors that have a hint.
func spoken(t *testing.T, dir string, calls map[string][]int) []message {
	t.Helper()
	var list []message
	files := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		note := func(e ast.Expr) {
			m := message{at: files.Position(e.Pos()).String(), parts: textOf(e)}
			if m.told() {
				list = append(list, m)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				for _, i := range calls[nameOf(n.Fun)] {
					if i < len(n.Args) {
						note(n.Args[i])
					}
				}
			case *ast.CompositeLit:
				if name := nameOf(n.Type); name != "exitError" && name != "HintedError" && name != "Problem" {
					return true
				}
				for _, element := range n.Elts {
					if field, ok := element.(*ast.KeyValueExpr); ok && slices.Contains([]string{"err", "hint", "Message", "Hint"}, nameOf(field.Key)) {
						note(field.Value)
					}
				}
			}
			return true
		})
	}
	return list
}

// golden are the lines that scripts and reports hold the program to. Patterns count as the text that they match.
func golden(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("nothing is %s: %v", pattern, err)
	}
	escaped := regexp.MustCompile(`\\([^a-zA-Z0-9])`)
	var lines []string
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			line = strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "''", "'")
			lines = append(lines, escaped.ReplaceAllString(line, "$1"))
		}
	}
	return lines
}

// What a command says when it refuses, and what it says to do then, stands in a script, all of it.
func TestEveryErrorAndHintOfACommandIsInAScript(t *testing.T) {
	t.Parallel()
	lines := strings.Join(golden(t, "testdata/*.txtar"), "\n")
	said := spoken(t, ".", map[string][]int{"usage": {0, 1}, "failureHint": {0, 1}, "failure": {0}})
	missing(t, said, lines, map[string]string{ // what no script can bring about
		"it goes on where it was when deltahook runs again": "the daemon stops between two looks at a backfill",
		"it stopped meanwhile; say it again":                "the daemon stops between plan and action",
		"write the token for commands: …":                   "the folder of the store can be written to for the store, and not for the token",
		"… cannot be copied":                                "both stores can",
		"read standard input: …":                            "a pipe that breaks",
	})
}

// What is wrong with a configuration, and what to write instead, stands in a golden report or in a script.
func TestEveryProblemOfAConfigurationIsInAReport(t *testing.T) {
	t.Parallel()
	const root = "../../"
	lines := strings.Join(append(golden(t, "testdata/*.txtar"), golden(t, root+"internal/config/testdata/problems/*.txtar")...), "\n")
	calls := map[string][]int{"Add": {0, 1}, "add": {0, 1}, "Warn": {0, 1}, "problem": {2, 3}, "warn": {2, 3}}
	var said []message
	for _, dir := range []string{"internal/config", "internal/setting", "internal/auth", "internal/outbound", "poller", "poller/decode", "emitter", "differ"} {
		said = append(said, spoken(t, root+dir, calls)...)
	}
	missing(t, said, lines, map[string]string{ // what no configuration can bring about, or none that may lie in a repository
		"… is not a cron spec":                   "the parser of cron specs panics",
		"linger is negative":                     "no duration of a file is",
		`write linger = "200ms"`:                 "the same",
		"expires is negative":                    "no duration of a file is",
		`write expires = "5m"`:                   "the same",
		"the private key is encrypted":           "it would be a private key",
		`write key_password = "env:NAME"`:        "the same",
		"the private key cannot be decrypted: …": "it would be a private key",
		"check key_password; openssl pkcs8 -topk8 writes keys in a form that is known here": "the same",
	})
}

func missing(t *testing.T, said []message, lines string, beyond map[string]string) {
	t.Helper()
	if len(said) < 20 {
		t.Fatalf("only %d messages were found", len(said))
	}
	n := 0
	for i := range said {
		text := strings.Join(said[i].parts, "…")
		if said[i].pattern().MatchString(lines) {
			continue
		}
		if n++; beyond[text] == "" {
			t.Errorf("%s: no script has %q", said[i].at, text)
		}
		delete(beyond, text)
	}
	for text, why := range beyond {
		t.Errorf("%q (%s) is said no more, or is in a script", text, why)
	}
	t.Logf("%d of %d messages and hints are in scripts", len(said)-n, len(said))
}
