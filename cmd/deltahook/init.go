package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/guess"
	"github.com/deltahook/deltahook/internal/scaffold"
	"github.com/deltahook/deltahook/internal/setting"
)

func (a *app) initCommand() *cobra.Command {
	i := &initiator{app: a}
	o := &i.options
	cmd := &cobra.Command{
		Use:   "init URL",
		Short: "Ask an API twice and write a commented configuration for it",
		Long: "Reads URL twice, tries for a second page, and guesses format, list, key, paging and what changes by itself. Writes a\n" +
			"configuration whose comments say what each line rests on, and says where it is not sure. Nothing else is asked than the\n" +
			"origin of URL, a few times.\n\n" +
			"Secrets are given as references, and only those are written: env:NAME, file:/path or cred:NAME.",
		Example: "  deltahook init https://crm.example.com/api/v2/contacts --header 'Authorization: Bearer env:CRM_TOKEN'\n" +
			"  deltahook init https://erp.example.com/orders --user deltahook:env:ERP_PASSWORD --every 1m\n" +
			"  deltahook init https://shop.example.com/graphql --body '{\"query\": \"…\"}' --header 'X-Api-Key: env:SHOP_KEY'",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.URL = args[0]
			return i.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.Headers, "header", "H", nil, "a header of the request, 'Name: value'; repeatable")
	f.StringVarP(&o.User, "user", "u", "", "NAME:env:PASSWORD, for basic, digest or NTLM, whichever the server wants")
	f.StringVarP(&o.Method, "method", "X", "", "method of the request (default GET, or POST with a body)")
	f.StringVarP(&o.Body, "body", "d", "", "body of the request, or @FILE")
	f.StringArrayVar(&o.Set, "set", nil, "any other key of the source, as in the file: 'timeout = \"2m\"'; repeatable")
	f.StringVar(&o.Records, "records", "", "path of the list, instead of a guess")
	f.StringArrayVar(&o.Key, "key", nil, "path of the key, instead of a guess; several make one key")
	f.StringVar(&o.Name, "name", "", "name of the source (default: from the URL)")
	f.StringVar(&o.Every, "every", "5m", "how often to poll")
	f.DurationVar(&o.Wait, "wait", 3*time.Second, "between the two readings: what changes by itself needs time to do so")
	f.StringVarP(&i.output, "output", "o", "deltahook.toml", "file to write; - is stdout")
	f.BoolVar(&i.force, "force", false, "overwrite the file")
	return cmd
}

// initiator is one run of `init`.
type initiator struct {
	*app
	options scaffold.Options
	output  string
	force   bool
}

func (i *initiator) run(ctx context.Context) error {
	if err := i.mayWrite(); err != nil {
		return err
	}
	o := &i.options
	if path, ok := strings.CutPrefix(o.Body, "@"); ok {
		raw, err := os.ReadFile(path)
		if err != nil {
			return failure(err)
		}
		o.Body = string(raw)
	}
	o.Secrets, o.UserAgent, o.Now = i.newSecrets(), "deltahook/"+version, time.Now()
	o.Progress = func(line string) { fmt.Fprintln(i.stderr, i.paint(grey, line)) }
	draft, err := scaffold.Make(ctx, *o)
	if wrong, ok := errors.AsType[*scaffold.OptionsError](err); ok {
		return usage(wrong.Error(), setting.Hint(err))
	}
	if err != nil {
		return failureHint(err, setting.Hint(err))
	}
	i.report(draft)
	return i.write(draft)
}

// mayWrite refuses to overwrite, before anything is asked.
func (i *initiator) mayWrite() error {
	if i.output == "-" || i.force {
		return nil
	}
	_, err := os.Stat(i.output)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return failure(err)
	}
	return failureHint(fmt.Errorf("%s exists", i.output), "write elsewhere with --output FILE, look at it with --output -, or overwrite it with --force")
}

// report says what was found on stderr: stdout may be the file.
func (i *initiator) report(d *scaffold.Draft) {
	g := d.Guess
	what := plural(g.Count, "record")
	if g.Single {
		what = "one single record"
	}
	fmt.Fprintf(i.stderr, "\n  %-9s %s, %s\n", "records", g.Records, what)
	keys := make([]string, len(g.Key))
	for k, p := range g.Key {
		keys[k] = p.String()
	}
	if len(keys) > 0 {
		fmt.Fprintf(i.stderr, "  %-9s %s\n", "key", strings.Join(keys, " + "))
	}
	for _, n := range d.Notes {
		if !n.Unsure && (n.About == guess.AboutPages || n.About == guess.AboutCursor) {
			fmt.Fprintf(i.stderr, "  %-9s %s\n", n.About, n.Text)
		}
	}
	for _, n := range d.Unsure() {
		fmt.Fprintf(i.stderr, "  %s %s: %s\n", i.paint(yellow, "not sure "), n.About, n.Text)
	}
	fmt.Fprintln(i.stderr)
}

func (i *initiator) write(d *scaffold.Draft) error {
	if i.output == "-" {
		_, err := i.stdout.Write(d.TOML)
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if i.force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	const mode = 0o644 // there are no secrets in it
	f, err := os.OpenFile(i.output, flags, mode)
	if err == nil {
		_, err = f.Write(d.TOML)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return failure(err)
	}
	flag := ""
	if i.output != "deltahook.toml" {
		flag = " --config " + i.output
	}
	fmt.Fprintf(i.stdout, "wrote %s (%s)\n", i.output, plural(d.Requests, "request"))
	fmt.Fprintf(i.stdout, "next:  export %s=$(deltahook secret)\n       deltahook try %s%s\n       deltahook run%s\n", scaffold.WebhookSecret, d.Name, flag, flag)
	return nil
}
