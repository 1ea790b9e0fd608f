// Package docker_test builds the file system of the image by the Dockerfile's own words, without a Docker engine, and runs it.
package docker_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// instruction is one of a Dockerfile, with continued lines joined.
type instruction struct{ name, rest string }

// stage is what stands between two FROM.
type stage struct {
	base, name   string
	instructions []instruction
}

// stages reads the Dockerfile.
func stages(t *testing.T) []stage {
	t.Helper()
	raw, err := os.ReadFile(root + "/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(string(raw), "")
	text = strings.ReplaceAll(text, "\\\n", " ")
	var all []stage
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		if name == "FROM" {
			base, alias, _ := strings.Cut(rest, " AS ")
			all = append(all, stage{base: base, name: alias})
			continue
		}
		last := &all[len(all)-1]
		last.instructions = append(last.instructions, instruction{name, strings.TrimSpace(rest)})
	}
	return all
}

// one gives the only instruction of this name.
func (s *stage) one(t *testing.T, name string) string {
	t.Helper()
	var found []string
	for _, i := range s.instructions {
		if i.name == name {
			found = append(found, i.rest)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d × %s: %q", len(found), name, found)
	}
	return found[0]
}

// all gives all instructions of this name.
func (s *stage) all(name string) (found []string) {
	for _, i := range s.instructions {
		if i.name == name {
			found = append(found, i.rest)
		}
	}
	return found
}

// words reads the exec form, the only one that works without a shell.
func words(t *testing.T, text string) (list []string) {
	t.Helper()
	if i := strings.IndexByte(text, '['); i >= 0 {
		text = text[i:]
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) == 0 {
		t.Fatalf("%q is not the exec form: %v", text, err)
	}
	return list
}

// environment gives the variables of ENV.
func (s *stage) environment() (list []string) {
	for _, line := range s.all("ENV") {
		list = append(list, strings.Fields(line)...)
	}
	return list
}

func TestTheImageIsFromScratchAndNotRoot(t *testing.T) {
	all := stages(t)
	last := &all[len(all)-1]
	if len(all) != 2 || last.base != "scratch" || all[0].name != "build" {
		t.Fatalf("%d stages, the last from %q", len(all), last.base)
	}
	for name, want := range map[string]string{
		"USER": "65532:65532", "WORKDIR": "/data", "VOLUME": "/data", "STOPSIGNAL": "SIGTERM", "EXPOSE": "9644",
	} {
		if got := last.one(t, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if check := last.one(t, "HEALTHCHECK"); !strings.Contains(check, "CMD [") {
		t.Errorf("there is no shell for %q", check)
	}
	words(t, last.one(t, "ENTRYPOINT"))
	words(t, last.one(t, "CMD"))
	if len(last.all("RUN")) > 0 {
		t.Error("nothing can be run in scratch")
	}
}
