package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
)

const pageHead = `# Configuration reference

Every key, what it takes, what it is when it is left out, and why it is there. [Configuration](configuration.md) explains files,
secrets and errors; [config.toml](../config.toml) is the same as a file that runs.

This page and the JSON Schema (` + "`deltahook schema`" + `) are made of the code and of that file by
` + "`make reference`" + `, and a test holds the four together. Durations are ` + "`30s`, `5m`, `1h30m`, `7d`" + `; sizes are
` + "`64KiB`, `32MiB`, `1GiB`" + `; rates are ` + "`50/s`, `600/m`, `1000/h`" + `. A path is a gjson path. A secret is a reference:
` + "`env:NAME`, `file:/path` or `cred:NAME`" + `.
`

// page writes the reference page: for each table of config.toml what is said of it, and a row for each key.
func (m *maker) page() string {
	raw, err := os.ReadFile("../../config.toml")
	if err != nil {
		m.t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(pageHead)
	header := regexp.MustCompile(`^\[(source\.self|webhook\.app|host\."[^"]+"|[a-z]+)((?:\.[a-z]+)?)\]$`)
	line := regexp.MustCompile(`^(# )?([a-z0-9_]+) += (.*?) +# (.+)$`)
	var comments []string
	var table, sub string
	open := false
	for l := range strings.Lines(string(raw)) {
		l = strings.TrimRight(l, "\n")
		if h := header.FindStringSubmatch(l); h != nil {
			table, sub, open = h[1], h[2], false
			fmt.Fprintf(&b, "\n## `[%s%s]`\n\n%s\n", titleOf(table), sub, joinedText(comments))
			comments = nil
			continue
		}
		if k := line.FindStringSubmatch(l); k != nil {
			if len(comments) > 0 {
				fmt.Fprintf(&b, "\n%s\n", joinedText(comments))
				comments, open = nil, false
			}
			if !open {
				b.WriteString("\n| key | takes | default | |\n|---|---|---|---|\n")
				open = true
			}
			b.WriteString(m.row(table, strings.TrimPrefix(sub+"."+k[2], "."), k[3], k[4]))
			continue
		}
		if text, ok := strings.CutPrefix(l, "#"); ok {
			comments = append(comments, strings.TrimSpace(text))
		} else {
			if table == "" {
				comments = nil // the head of the file is about the file
			}
			open = open && l == ""
		}
	}
	return b.String()
}

func titleOf(table string) string {
	switch table {
	case "source.self":
		return "source.NAME"
	case "webhook.app":
		return "webhook.NAME"
	case hostTable:
		return `host."NAME"`
	}
	return table
}

func joinedText(lines []string) string { return strings.Join(lines, "\n") }

// row writes one key.
func (m *maker) row(table, path, example, why string) string {
	v := valueAt(reflect.ValueOf(defaultsOf(table)), strings.Split(path, "."))
	none := strings.HasPrefix(why, "no default")
	fallback := "–"
	switch {
	case !isEmpty(v, nil):
		fallback = code(fmt.Sprint(shown("", v)))
	case !none:
		fallback = code(strings.Trim(example, `"`))
	case strings.HasPrefix(why, "no default: "):
		word, _, _ := strings.Cut(strings.TrimPrefix(why, "no default: "), ";")
		fallback = word
		if !strings.ContainsAny(word, " ") {
			fallback = code(word)
		}
	}
	text := why
	for _, lead := range []string{"no default; ", "no default: "} {
		if rest, ok := strings.CutPrefix(text, lead); ok {
			text = rest
			if lead == "no default: " {
				_, text, _ = strings.Cut(rest, "; ")
			}
		}
	}
	text = regexp.MustCompile(`^default "[^"]*"[:;]? ?`).ReplaceAllString(text, "")
	if none {
		text += "; like " + code(example)
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |\n", path, m.takes(table+"."+path, v.Type()), fallback, cell(strings.TrimPrefix(text, "; ")))
}

// takes says what a key takes.
func (m *maker) takes(path string, t reflect.Type) string {
	if words := m.words(path, t); len(words) > 0 {
		for i := range words {
			words[i] = code(words[i])
		}
		return strings.Join(words, ", ")
	}
	names := map[string]string{
		"setting.Duration": "duration", "setting.Size": "size", "setting.Rate": "rate", "setting.Share": "percentage",
		"setting.Amount": "percentage or number", "setting.Secret": "secret", "setting.SecretList": "secret, or several", "differ.Path": "path",
		"differ.Paths": "path, or several", "differ.Condition": "condition", "differ.Conditions": "condition, or several", "differ.Watch": "paths",
		"emitter.Template": "template", "poller.Hours": "hours, or several", "outbound.Proxy": "URL", "poller.First": "number", "setting.File": "file",
	}
	if name, ok := names[t.String()]; ok {
		return name
	}
	switch k := t.Kind(); {
	case k == reflect.Map:
		return "table of texts"
	case k == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return "list: " + m.takes(path, t.Elem())
	case k == reflect.Bool:
		return "`true`, `false`"
	case k == reflect.Float64:
		return "number"
	case reflect.Zero(t).CanInt():
		return "whole number"
	case k == reflect.String:
		return "text"
	}
	m.t.Errorf("what %s takes has no name: %s", path, t)
	return ""
}

func code(text string) string {
	fence := "`"
	if strings.Contains(text, "`") {
		fence = "``"
	}
	return fence + strings.ReplaceAll(text, "|", `\|`) + fence
}

func cell(text string) string {
	out := strings.ReplaceAll(text, "|", `\|`)
	return strings.ReplaceAll(out, `\\|`, `\|`)
}
