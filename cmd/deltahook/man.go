package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/deltahook/deltahook/internal/config"
)

// man is for those who make packages.
func (a *app) man() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages deltahook(1) and deltahook.toml(5) into a folder",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			for name, text := range map[string]string{"deltahook.1": commandsPage(cmd.Root()), "deltahook.toml.5": configPage()} {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(text), 0o644); err != nil { //nolint:gosec // a manual page is for all
					return failure(err)
				}
			}
			return nil
		},
	}
}

// roff writes a manual page.
type roff struct{ bytes.Buffer }

func newRoff(title, section, summary string) *roff {
	r := &roff{}
	fmt.Fprintf(r, ".TH %s %s \"\" \"deltahook %s\" \"deltahook\"\n", strings.ToUpper(title), section, escaped(version))
	r.section("NAME")
	fmt.Fprintf(r, "%s \\- %s\n", escaped(title), escaped(summary))
	return r
}

func (r *roff) section(name string) { fmt.Fprintf(r, ".SH %s\n", name) }

// paragraphs writes prose; what is indented stays as it is.
func (r *roff) paragraphs(text string) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if strings.HasPrefix(part, "  ") {
			fmt.Fprintf(r, ".PP\n.EX\n%s\n.EE\n", escaped(part))
			continue
		}
		fmt.Fprintf(r, ".PP\n%s\n", escaped(part))
	}
}

func (r *roff) item(term, text string) {
	fmt.Fprintf(r, ".TP\n\\fB%s\\fR\n%s\n", escaped(term), escaped(text))
}

// escaped keeps roff from reading a text: backslashes, hyphens that are to be copied, and control lines.
func escaped(text string) string {
	text = strings.ReplaceAll(text, `\`, `\e`)
	text = strings.ReplaceAll(text, "-", `\-`)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// commandsPage describes all commands.
func commandsPage(root *cobra.Command) string {
	r := newRoff("deltahook", "1", root.Short)
	r.section("SYNOPSIS")
	fmt.Fprintf(r, "\\fBdeltahook\\fR [\\-\\-config FILE] COMMAND [ARGUMENTS]\n")
	r.section("DESCRIPTION")
	r.paragraphs(root.Long)
	r.section("OPTIONS")
	r.flags(root.PersistentFlags())
	for _, group := range root.Groups() {
		r.section(strings.ToUpper(strings.TrimSuffix(group.Title, ":")))
		for _, c := range root.Commands() {
			if c.GroupID == group.ID && c.IsAvailableCommand() {
				r.command(c)
			}
		}
	}
	r.section("EXIT STATUS")
	for _, code := range []struct {
		n    int
		text string
	}{
		{exitOK, "ok"},
		{exitFailure, "failure"},
		{exitUsage, "wrong usage"},
		{exitDifferences, "differences found (\\-\\-exit\\-code)"},
		{exitTemporary, "temporary: another deltahook has the store"},
		{exitConfig, "the configuration is wrong or missing"},
	} {
		fmt.Fprintf(r, ".TP\n%d\n%s\n", code.n, code.text)
	}
	r.section("FILES")
	r.item("./deltahook.toml, /etc/deltahook/deltahook.toml", "the configuration, see deltahook.toml(5); $DELTAHOOK_CONFIG names another one")
	r.section("ENVIRONMENT")
	r.item("DELTAHOOK_CONFIG", "configuration file or folder")
	r.item("NO_COLOR", "no colours, whatever the terminal")
	r.item("CREDENTIALS_DIRECTORY", "where secrets of the form cred:NAME are, set by systemd")
	r.section("SEE ALSO")
	fmt.Fprintf(r, "\\fBdeltahook.toml\\fR(5)\n")
	return r.String()
}

func (r *roff) command(c *cobra.Command) {
	fmt.Fprintf(r, ".SS %s\n", escaped(strings.TrimPrefix(c.UseLine(), "deltahook ")))
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	r.paragraphs(text)
	r.flags(c.LocalNonPersistentFlags())
	for _, below := range c.Commands() {
		if below.IsAvailableCommand() {
			r.command(below)
		}
	}
}

func (r *roff) flags(set *pflag.FlagSet) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		r.item(strings.TrimSpace("--"+f.Name+" "+strings.ToUpper(kind)), usage)
	})
}

// node is what a manual page needs of a JSON Schema.
type node struct {
	Description string           `json:"description"`
	Properties  map[string]*node `json:"properties"`
	Enum        []string         `json:"enum"`
	Defs        map[string]*node `json:"$defs"`
}

// configPage describes all keys of the configuration.
func configPage() string {
	r := newRoff("deltahook.toml", "5", "configuration of deltahook")
	r.section("DESCRIPTION")
	r.paragraphs("The configuration of deltahook(1) is TOML. Durations are \"30s\", \"5m\", \"1h30m\", \"7d\"; sizes are \"64KiB\", \"32MiB\"; rates are\n" +
		"\"50/s\", \"600/m\". Paths are gjson paths. Secrets are references: \"env:NAME\", \"file:/path\", or \"cred:NAME\" for systemd\n" +
		"credentials. A key that does not exist is an error. deltahook check finds what is wrong.")
	var schema node
	if err := json.Unmarshal([]byte(config.Schema()), &schema); err != nil { // it is a part of the program
		panic(err)
	}
	titles := map[string]string{"source": "[source.NAME]", "webhook": "[webhook.NAME]", "host": `[host."NAME"]`}
	names := []string{"source", "host", "webhook"}
	for name := range schema.Defs {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names[3:])
	for _, name := range names {
		title := titles[name]
		if title == "" {
			title = "[" + name + "]"
		}
		r.section(strings.ReplaceAll(title, `"`, `\(dq`))
		r.keys("", schema.Defs[name])
	}
	r.section("SEE ALSO")
	fmt.Fprintf(r, "\\fBdeltahook\\fR(1), deltahook schema\n")
	return r.String()
}

func (r *roff) keys(prefix string, n *node) {
	names := make([]string, 0, len(n.Properties))
	for name := range n.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		key := n.Properties[name]
		if key.Properties != nil {
			r.keys(prefix+name+".", key)
			continue
		}
		text := strings.TrimPrefix(key.Description, "no default; ")
		if len(key.Enum) > 0 {
			text += " (" + strings.Join(key.Enum, ", ") + ")"
		}
		r.item(prefix+name, text)
	}
}
