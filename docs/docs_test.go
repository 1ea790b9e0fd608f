// Package docs_test holds the documentation to the code: links lead somewhere, configurations are valid, commands exist.
package docs_test

import (
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/setting"
)

const root = ".."

// pages gives the text of every Markdown file by its path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	walk(t, ".md", func(path, text string) { texts[path] = text })
	return texts
}

func walk(t *testing.T, ext string, visit func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", "bin", "dist", "testdata", "node_modules"}, d.Name()) {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ext {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		visit(filepath.ToSlash(name), string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// block is a fenced block of code.
type block struct{ info, text string }

// blocks splits a page into its fenced blocks and the prose between them.
func blocks(text string) (prose string, found []block) {
	var b strings.Builder
	var open *block
	for line := range strings.Lines(text) {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil:
			open = &block{info: fence}
		case isFence:
			found, open = append(found, *open), nil
		case open != nil:
			open.text += line
		default:
			b.WriteString(line)
		}
	}
	return b.String(), found
}

var (
	linkPattern    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingPattern = regexp.MustCompile(`(?m)^#+ (.+)$`)
	codePattern    = regexp.MustCompile("`([^`\n]+)`")
)

func TestEveryRelativeLinkLeadsToAFileAndAHeading(t *testing.T) {
	all := pages(t)
	if len(all) < 20 {
		t.Fatalf("only %d pages were found", len(all))
	}
	for page, text := range all {
		prose, _ := blocks(text)
		for _, m := range linkPattern.FindAllStringSubmatch(prose, -1) {
			link, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if link.Scheme != "" {
				continue
			}
			target := page
			if link.Path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(page), link.Path))
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", page, m[1])
			} else if link.Fragment != "" && !slices.Contains(anchors(all[target]), link.Fragment) {
				t.Errorf("%s: %s has no heading #%s; it has %s", page, target, link.Fragment, strings.Join(anchors(all[target]), ", "))
			}
		}
	}
}

// anchors gives the names of a page's headings as forges make them.
func anchors(text string) []string {
	prose, _ := blocks(text)
	var names []string
	for _, m := range headingPattern.FindAllStringSubmatch(prose, -1) {
		names = append(names, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, m[1]))
	}
	return names
}

// check reads a configuration as `deltahook check` does, with every variable set.
func check(t *testing.T, name, text string) {
	t.Helper()
	secrets := &setting.Secrets{LookupEnv: func(name string) (string, bool) {
		if name == "DELTAHOOK_STORE" {
			return "postgres://deltahook@db.example.com/deltahook", true
		}
		return "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true
	}}
	_, report := config.Parse([]config.File{{Path: name, Text: []byte(text)}}, secrets)
	if !report.OK() {
		t.Errorf("%s is not valid:\n%s", name, report)
	}
}

func TestFullConfigurationsInTheDocumentationAreValid(t *testing.T) {
	n := 0
	for page, text := range pages(t) {
		_, found := blocks(text)
		for _, b := range found {
			if b.info == "toml full" {
				n++
				check(t, page, b.text)
			}
		}
	}
	if n == 0 {
		t.Error("no page has a block that is marked as a full configuration (toml full)")
	}
}

func TestConfigurationsOfTheExamplesAreValid(t *testing.T) {
	n := 0
	walk(t, ".toml", func(path, text string) {
		if strings.HasPrefix(path, "examples/") {
			n++
			check(t, path, text)
		}
	})
	if n < 5 {
		t.Errorf("only %d configurations were found", n)
	}
}

func TestEveryDirectDependencyIsExplained(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	page := pages(t)["docs/dependencies.md"]
	for line := range strings.Lines(string(mod)) {
		name, version, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "require")), " v")
		if ok && !strings.Contains(version, "// indirect") && !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/dependencies.md has no row for %s", name)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(page, -1) {
		if !strings.Contains(string(mod), m[1]+" v") {
			t.Errorf("docs/dependencies.md has a row for %s, which go.mod does not require", m[1])
		}
	}
}

func TestEveryDecisionIsInTheIndex(t *testing.T) {
	all := pages(t)
	for page := range all {
		name, ok := strings.CutPrefix(page, "docs/decisions/")
		if ok && name != "README.md" && !strings.Contains(all["docs/decisions/README.md"], "("+name+")") {
			t.Errorf("docs/decisions/README.md does not list %s", name)
		}
	}
}

// commandPattern finds a command and what follows it, up to a comment or the next command of the line.
var commandPattern = regexp.MustCompile(`(?:^|[\s/(;])deltahook((?: +[^\s#|&;)]+)+)`)

func TestEveryCommandInTheDocumentationExists(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "deltahook")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", bin, "../cmd/deltahook")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as `make build` does, so that what is compiled already is not again
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	help := helpOf(t, bin)
	n := 0
	for page, text := range pages(t) {
		for _, line := range commandLines(text) {
			if program, _, _ := strings.Cut(strings.TrimSpace(line), " "); program == "journalctl" || program == "systemctl" { // they name the unit
				continue
			}
			for _, m := range commandPattern.FindAllStringSubmatch(line, -1) {
				command, flags := split(strings.Fields(m[1]))
				if command == "" {
					continue
				}
				n++
				text, ok := help(command)
				if !ok {
					t.Errorf("%s: there is no command %q (in %q)", page, command, line)
				}
				for _, flag := range flags {
					if ok && !strings.Contains(text, flag) {
						t.Errorf("%s: %q has no flag %s (in %q)", page, command, flag, line)
					}
				}
			}
		}
	}
	if n < 30 {
		t.Errorf("only %d commands were found", n)
	}
	checkBlocks(t, bin)
}

// commandLines gives the lines of shell blocks and the inline code of a page.
func commandLines(text string) []string {
	prose, found := blocks(text)
	var lines []string
	for _, b := range found {
		if b.info == "sh" {
			lines = append(lines, strings.Split(b.text, "\n")...)
		}
	}
	for _, m := range codePattern.FindAllStringSubmatch(prose, -1) {
		lines = append(lines, m[1])
	}
	return lines
}

// split gives the words of the command and its flags. Words stop at the first that is an argument.
func split(fields []string) (command string, flags []string) {
	word := regexp.MustCompile(`^[a-z]+$`)
	arguments := false
	for i, f := range fields {
		switch {
		case strings.HasPrefix(f, "--"):
			name, _, _ := strings.Cut(f, "=")
			flags = append(flags, name)
		case i > 0 && fields[i-1] == "--config":
		case command == "" && word.MatchString(f):
			command = f
		case command == "config" || command == "store" || (f == "show" || f == "drop") && !arguments:
			command += " " + f
			arguments = true
		default:
			arguments = true
		}
	}
	return command, flags
}

// helpOf gives the help of commands, each asked for once.
func helpOf(t *testing.T, bin string) func(command string) (string, bool) {
	t.Helper()
	known := map[string]string{}
	return func(command string) (string, bool) {
		text, ok := known[command]
		if !ok {
			args := append(strings.Fields(command), "--help")
			out, err := exec.CommandContext(t.Context(), bin, args...).Output()
			if err == nil && strings.Contains(string(out), "deltahook "+command) {
				text = string(out)
			}
			known[command] = text
		}
		return text, text != ""
	}
}
