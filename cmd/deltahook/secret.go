package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/emitter"
)

func (a *app) secret() *cobra.Command {
	return &cobra.Command{
		Use:   "secret",
		Short: "Make a webhook secret",
		Long: "Prints a new Standard Webhooks secret: whsec_ and 32 random bytes in base64. Give the same value to the receiver.\n\n" +
			"  export APP_WEBHOOK_SECRET=$(deltahook secret)",
		Args: cobra.NoArgs,
		Run:  func(*cobra.Command, []string) { fmt.Fprintln(a.stdout, emitter.GenerateSecret()) },
	}
}
