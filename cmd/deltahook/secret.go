package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/emitter"
)

func (a *app) secret() *cobra.Command {
	var style string
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Make a webhook secret",
		Long: "Prints a new secret of 32 random bytes: for Standard Webhooks whsec_ and base64. Give the same value to the receiver.\n\n" +
			"  export APP_WEBHOOK_SECRET=$(deltahook secret)\n\n" +
			"With --style standard-ed25519 it is a private key, and the receiver gets the public one, which is printed to standard error.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			secret, public, err := emitter.GenerateSecretFor(style)
			if err != nil {
				return usage(err.Error(), "styles: "+strings.Join(emitter.SignStyles(), ", "))
			}
			fmt.Fprintln(a.stdout, secret)
			if public != "" {
				fmt.Fprintf(a.stderr, "for the receiver: %s\n", public)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&style, "style", "standard", "of the key sign: "+strings.Join(emitter.SignStyles(), ", "))
	return cmd
}
