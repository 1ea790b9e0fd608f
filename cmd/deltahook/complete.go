package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/config"
)

// completion offers words to the shell. Whatever is wrong with the configuration, it offers nothing and says nothing: people press
// the key in the middle of a line.
type completion = func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective)

// completeSources offers the configured sources.
func (a *app) completeSources(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return a.complete(args, prefix, sourceNames)
}

// completeNames offers sources and webhooks.
func (a *app) completeNames(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return a.complete(args, prefix, func(cfg *config.Config) []string { return append(sourceNames(cfg), webhookNames(cfg)...) })
}

// completeWebhooks offers the configured webhooks.
func (a *app) completeWebhooks(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return a.complete(args, prefix, webhookNames)
}

func sourceNames(cfg *config.Config) (names []string) {
	for _, s := range cfg.Sources {
		names = append(names, s.Name)
	}
	return names
}

func webhookNames(cfg *config.Config) (names []string) {
	for _, w := range cfg.Webhooks {
		names = append(names, w.Name)
	}
	return names
}

// complete offers what a configuration has, also one with problems: it may be the very one that is being repaired.
func (a *app) complete(args []string, prefix string, of func(*config.Config) []string) ([]string, cobra.ShellCompDirective) {
	const noFiles = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, noFiles
	}
	cfg, err := a.draft()
	if err != nil {
		return nil, noFiles
	}
	return slices.DeleteFunc(of(cfg), func(name string) bool { return !strings.HasPrefix(name, prefix) }), noFiles
}

// completeFlags offers the values of the flags of a command and of those below it, by the flags' names.
func (a *app) completeFlags(cmd *cobra.Command) {
	offers := map[string]completion{
		"source": a.completeSources, "webhook": a.completeWebhooks, "to": a.completeWebhooks, "type": a.completeTypes,
		"color": words("auto", "always", "never"), "show": words("changes", "records", "payload"),
	}
	for name, offer := range offers {
		if f := cmd.LocalFlags().Lookup(name); f == nil || f.Value.Type() == "bool" {
			continue
		}
		// The error says that the flag has a completion already, which is as good.
		_ = cmd.RegisterFlagCompletionFunc(name, func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
			return offer(cmd, nil, prefix)
		})
	}
	for _, below := range cmd.Commands() {
		a.completeFlags(below)
	}
}

// completeTypes offers the types of events.
func (a *app) completeTypes(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return a.complete(args, prefix, func(cfg *config.Config) (types []string) {
		for _, s := range cfg.Sources {
			for _, kind := range []differ.Kind{differ.Created, differ.Updated, differ.Deleted, differ.Snapshot} {
				types = append(types, emitter.EventType(cmp.Or(s.Type, s.Name), kind))
			}
		}
		return types
	})
}

// words offers fixed words.
func words(list ...string) completion {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}
