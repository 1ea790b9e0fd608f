package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/config"
)

// completeSources offers the configured sources to the shell.
func (a *app) completeSources(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	paths, err := a.configPaths()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cfg, _, err := config.Load(config.Options{Paths: paths, Secrets: a.newSecrets()})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, s := range cfg.Sources {
		if strings.HasPrefix(s.Name, prefix) {
			names = append(names, s.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
