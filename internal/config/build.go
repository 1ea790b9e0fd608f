package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

// validator is a section that knows what is wrong with it.
type validator interface {
	Validate(secrets *setting.Secrets) setting.Problems
}

// build makes the sections from their tables, checks each and then what they say of each other.
func (l *loader) build() {
	var defaults *binding
	if p := l.parts["[defaults]"]; p != nil {
		scratch := poller.DefaultSource()
		defaults = l.bind(p, &scratch)
		l.warnOfLiterals(defaults, nil)
	}
	sources, webhooks := l.names(kindSource), l.names(kindWebhook)
	for _, p := range l.list {
		switch p.kind {
		case kindSource:
			l.source(p, defaults, sources, webhooks)
		case kindWebhook:
			l.webhook(p)
		case kindHost:
			l.host(p)
		case kindStore:
			l.single(p, &l.config.Store)
		case kindAdmin:
			l.single(p, &l.config.Admin)
		case kindLog:
			l.single(p, &l.config.Log)
		case kindAlerts:
			l.alerts(p, webhooks)
		}
	}
	slices.SortFunc(l.config.Sources, func(a, b *poller.Source) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(l.config.Webhooks, func(a, b *emitter.Webhook) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(l.config.Hosts, func(a, b poller.Host) int { return strings.Compare(a.Name, b.Name) })
	l.checkHosts()
	l.checkDeaf()
	l.checkComplete(webhooks)
}

func (l *loader) bind(p *part, target any) *binding {
	b := &binding{doc: p.doc, label: p.label(), root: p.node, found: l.found, layouts: l.layouts}
	b.bind(p.tree, target)
	return b
}

func (l *loader) single(p *part, target validator) {
	b := l.bind(p, target)
	l.check(b, nil, target.Validate(l.secrets))
}

func (l *loader) webhook(p *part) {
	w := emitter.DefaultWebhook()
	w.Name = p.name
	b := l.bind(p, &w)
	l.check(b, nil, w.Validate(l.secrets))
	if !p.again {
		l.config.Webhooks = append(l.config.Webhooks, &w)
	}
}

func (l *loader) host(p *part) {
	if name := unquoted(p.name, p.tree); name != p.name {
		l.found.add(p.doc, p.node.origin(), "the name of a host has dots in it and no quotes around it", fmt.Sprintf("write [host.%q]", name))
		return
	}
	h := poller.DefaultHost()
	h.Name = p.name
	b := l.bind(p, &h)
	l.check(b, nil, h.Validate(l.secrets))
	if !p.again {
		l.config.Hosts = append(l.config.Hosts, h)
	}
}

// unquoted puts a name together that TOML took for a path of tables.
func unquoted(name string, tree map[string]any) string {
	for _, k := range slices.Sorted(maps.Keys(tree)) {
		if below, ok := tree[k].(map[string]any); ok {
			return unquoted(name+"."+k, below)
		}
	}
	return name
}

// checkHosts warns of hosts that no source asks: a name that is misspelt limits nothing.
func (l *loader) checkHosts() {
	for _, p := range l.list {
		if p.kind != kindHost || l.vague || unquoted(p.name, p.tree) != p.name {
			continue
		}
		asked := slices.ContainsFunc(l.config.Sources, func(s *poller.Source) bool { return s.Asks(&poller.Host{Name: p.name}) })
		if !asked {
			l.found.warn(p.doc, p.node.origin(), "no source asks "+p.name, "the name is that of the url, in lower case, with or without its port")
		}
	}
}

// source makes a source: the defaults in code, then [defaults], then its own table.
func (l *loader) source(p *part, defaults *binding, sources, webhooks []string) {
	s := poller.DefaultSource()
	s.Name = p.name
	if d := l.parts["[defaults]"]; d != nil {
		quiet := &binding{doc: d.doc, label: d.label(), root: d.node, found: &findings{}, layouts: l.layouts}
		quiet.bind(withoutOverridden(d.tree, p.tree), &s)
	}
	b := l.bind(p, &s)
	problems := s.Validate(l.secrets)
	if !l.vague {
		problems = append(problems, checkTo(&s, p.tree, webhooks)...)
		problems = append(problems, checkPartitions(&s, sources)...)
	}
	if s.Name == emitter.Own {
		problems.Add("choose another name", fmt.Sprintf("%q is what the events of deltahook itself are named by", emitter.Own))
	}
	if s.Type == emitter.Own || strings.HasPrefix(s.Type, emitter.Own+".") {
		problems.Add("choose another name", fmt.Sprintf("%q is what the events of deltahook itself are named by", emitter.Own), "type")
	}
	l.check(b, defaults, problems)
	if !p.again {
		l.config.Sources = append(l.config.Sources, &s)
	}
}

// withoutOverridden leaves out of [defaults] what makes no sense beside the source's own keys: the other way to say when to
// poll, and the keys of a table of which the source chooses another kind.
func withoutOverridden(defaults, own map[string]any) map[string]any {
	rest := maps.Clone(defaults)
	for a, b := range map[string]string{"every": "cron", "cron": "every"} {
		_, hasA := own[a]
		if _, hasB := own[b]; hasA && !hasB {
			delete(rest, b)
		}
	}
	for k, v := range own {
		if table, ok := v.(map[string]any); ok && table["kind"] != nil {
			delete(rest, k)
		}
	}
	return rest
}

// checkTo reports webhooks that do not exist.
func checkTo(s *poller.Source, own map[string]any, webhooks []string) setting.Problems {
	var p setting.Problems
	if list, ok := own["to"].([]any); ok && len(list) == 0 {
		p.Add("leave the key out to send to every webhook", "to = [] names no webhook", "to")
	}
	by := ""
	if own["to"] != nil {
		by = " (used by source " + s.Name + ")"
	}
	checkNames(&p, s.To, webhooks, by)
	return p
}

// checkNames reports webhooks in the key to that do not exist.
func checkNames(p *setting.Problems, to, webhooks []string, by string) {
	for i, name := range to {
		if slices.Contains(webhooks, name) {
			continue
		}
		hint := "webhooks: " + strings.Join(webhooks, ", ")
		if near := Suggest(name, webhooks); near != "" {
			hint = fmt.Sprintf("did you mean %q? %s", near, hint)
		}
		if len(webhooks) == 0 {
			hint = fmt.Sprintf("add [webhook.%s] with url and secret", name)
		}
		p.Add(hint, fmt.Sprintf("webhook %q does not exist", name)+by, "to", strconv.Itoa(i))
	}
}

// checkPartitions reports a source of partitions that does not exist.
func checkPartitions(s *poller.Source, sources []string) setting.Problems {
	var p setting.Problems
	name := s.Partitions.Source
	if name == "" || name == s.Name || slices.Contains(sources, name) {
		return p
	}
	hint := "sources: " + strings.Join(sources, ", ")
	if near := Suggest(name, sources); near != "" {
		hint = fmt.Sprintf("did you mean %q? %s", near, hint)
	}
	p.Add(hint, fmt.Sprintf("source %q does not exist", name), "partitions", "source")
	return p
}

// names lists the sections of a kind.
func (l *loader) names(kind string) []string {
	var names []string
	for _, p := range l.list {
		if p.kind == kind {
			names = append(names, p.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkComplete says when there is nothing to do.
func (l *loader) checkComplete(webhooks []string) {
	if l.vague || len(l.docs) == 0 {
		return
	}
	if len(l.config.Sources) == 0 {
		l.found.add(l.docs[0], span{}, "there is no source", `write [source.NAME] with url, every and key`)
		return
	}
	if len(webhooks) == 0 {
		first := l.list[slices.IndexFunc(l.list, func(p *part) bool { return p.kind == kindSource })]
		l.found.warn(first.doc, first.node.origin(), "there is no webhook: changes are found, and nobody is told",
			"add [webhook.NAME] with url and secret")
	}
}
