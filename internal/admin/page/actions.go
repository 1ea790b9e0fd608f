package page

import (
	"net/url"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/admin"
)

// action is a button: what it does, to what, and the command that does the same.
type action struct {
	Label, Name string // Name is what it does it to, for those who hear the page
	Command     string
	Tone        string // "", main, risky
	Ask         string // address of the page that asks first; empty: the button does it
	Do          string // address that does it
	Source      string
	Webhook     string
}

func sourceAction(verb admin.Verb, label, source string) action {
	a := action{
		Label: label, Name: source, Source: source, Command: actionCommand(admin.Action{Verb: verb, Source: source}, ""), Do: "/act/" + string(verb),
	}
	switch verb {
	case admin.Release, admin.Discard, admin.Rekey, admin.Reset, admin.Jump:
		a.Ask = "/act/" + string(verb) + "?source=" + url.QueryEscape(source)
	case admin.Poll, admin.Pause, admin.Resume:
	}
	return a
}

func webhookAction(verb admin.Verb, label, webhook string) action {
	return action{
		Label: label, Name: webhook, Webhook: webhook, Command: commandOf(string(verb), webhook, "--webhook"), Do: "/act/" + string(verb),
	}
}

// sourceActions are what can be done to a source in its state, what helps most first.
func sourceActions(s admin.Source) []action {
	if s.Removed {
		return nil
	}
	var list []action
	switch s.State {
	case "held":
		list = append(list, heldActions(s)...)
	case "paused":
		return []action{sourceAction(admin.Resume, "Resume", s.Name), sourceAction(admin.Jump, "Skip to now", s.Name)}
	}
	return append(list, sourceAction(admin.Poll, "Poll now", s.Name), sourceAction(admin.Pause, "Pause", s.Name))
}

// heldActions are the decisions about a hold. Which of them there are depends on its reason.
func heldActions(s admin.Source) []action {
	release, discard := sourceAction(admin.Release, "Release", s.Name), sourceAction(admin.Discard, "Discard", s.Name)
	release.Tone = "main"
	if s.Hold != nil && s.Hold.Reason == holdIdentity {
		rekey, reset := sourceAction(admin.Rekey, "Rekey", s.Name), resetAction(s.Name, "records")
		rekey.Tone = "main"
		return []action{rekey, reset}
	}
	return []action{release, discard}
}

func resetAction(source, level string) action {
	a := sourceAction(admin.Reset, "Reset "+level, source)
	a.Ask += "&level=" + url.QueryEscape(level)
	a.Command = commandOf("reset", source, "--"+level)
	a.Tone = "risky"
	return a
}

func webhookActions(w admin.Webhook) []action {
	switch w.State {
	case "paused":
		return []action{webhookAction(admin.Resume, "Resume", w.Name), changeAction(admin.Skip, "Skip to now", w.Name, selection{Webhook: w.Name})}
	case "removed":
		return []action{changeAction(admin.Skip, "Drop what waits", w.Name, selection{Webhook: w.Name})}
	}
	return []action{webhookAction(admin.Pause, "Pause", w.Name)}
}

// changeAction leads to the plan of a replay, a drop or a skip.
func changeAction(kind admin.ChangeKind, label, name string, q selection) action {
	a := action{Label: label, Name: name, Ask: "/deliveries/" + string(kind) + "?" + q.values().Encode(), Command: q.command(kind)}
	if kind == admin.Drop {
		a.Tone = "risky"
	}
	return a
}

// commandOf writes a command as a shell takes it.
func commandOf(words ...string) string {
	words = slices.Clone(words)
	for i, w := range words {
		words[i] = quoted(w)
	}
	return "deltahook " + strings.Join(words, " ")
}

// quoted protects what a shell would take for more than a word.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@%+,", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// holdIdentity is the reason of a hold that an edit of the configuration caused.
const holdIdentity = "identity"
