package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/config"
)

// completeSources offers the configured sources to the shell.
func (a *app) completeSources(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return a.complete(args, prefix, func(cfg *config.Config) (names []string) {
		for _, s := range cfg.Sources {
			names = append(names, s.Name)
		}
		return names
	})
}

// completeNames offers sources and webhooks.
func (a *app) completeNames(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	sources, _ := a.completeSources(cmd, args, prefix)
	webhooks, directive := a.completeWebhooks(cmd, args, prefix)
	return append(sources, webhooks...), directive
}

func (a *app) completeWebhooks(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return a.complete(args, prefix, func(cfg *config.Config) (names []string) {
		for _, w := range cfg.Webhooks {
			names = append(names, w.Name)
		}
		return names
	})
}

func (a *app) complete(args []string, prefix string, of func(*config.Config) []string) ([]string, cobra.ShellCompDirective) {
	const noFiles = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, noFiles
	}
	cfg, _, err := a.load()
	if err != nil {
		return nil, noFiles
	}
	return slices.DeleteFunc(of(cfg), func(name string) bool { return !strings.HasPrefix(name, prefix) }), noFiles
}
