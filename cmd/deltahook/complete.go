package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

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
	cfg, _, _, err := a.loadReport()
	if err != nil || cfg == nil {
		return nil, noFiles
	}
	return slices.DeleteFunc(of(cfg), func(name string) bool { return !strings.HasPrefix(name, prefix) }), noFiles
}

// completeFlags offers names as the values of flags.
func (a *app) completeFlags(cmd *cobra.Command, flags map[string]completion) {
	for name, offer := range flags {
		err := cmd.RegisterFlagCompletionFunc(name, func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
			return offer(cmd, nil, prefix)
		})
		if err != nil { // the flag does not exist, or has one already
			panic(err)
		}
	}
}

// words offers fixed words.
func words(list ...string) completion {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}
