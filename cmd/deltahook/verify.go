package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/setting"
)

func (a *app) verify() *cobra.Command {
	var (
		keys keyFlags
		from capture
		age  time.Duration
	)
	cmd := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Check the signature of a captured webhook request",
		Long: "Checks a captured request. FILE (or standard input) holds it as it came over the wire: request line, headers, an\n" +
			"empty line, the body, byte for byte. Or give the parts:\n\n" +
			"  deltahook verify --secret env:APP_WEBHOOK_SECRET --header 'webhook-id: evt_…' --header 'webhook-timestamp: …' \\\n" +
			"      --header 'webhook-signature: v1,…' --body body.json\n\n" +
			"The style is that of the configured webhook, or --style. The options of the styles template and rfc9421 come from the\n" +
			"configured webhook; --method and --url tell rfc9421 what a capture without a request line does not have.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := a.keys(keys)
			if err != nil {
				return err
			}
			r, err := a.captured(args, from)
			if err != nil {
				return err
			}
			o.Now, o.Tolerance = time.Now(), age
			if err := emitter.VerifyRequest(r, o); err != nil {
				return failureHint(fmt.Errorf("not verified: %w", err), verifyHint(err, *r, o))
			}
			of := ""
			if n := r.Header.Get("deltahook-batch"); n != "" {
				of = ", a batch of " + n
			}
			fmt.Fprintf(a.stdout, "verified: %s, %d bytes%s\n", r.Header.Get("webhook-id"), len(r.Body), of)
			return nil
		},
	}
	keys.flags(cmd)
	cmd.Flags().StringArrayVar(&from.headers, "header", nil, "a header of the request, \"name: value\" (repeat)")
	cmd.Flags().StringVar(&from.body, "body", "", "file with the body, - for standard input")
	cmd.Flags().StringVar(&from.method, "method", http.MethodPost, "method of the request, for rfc9421")
	cmd.Flags().StringVar(&from.url, "url", "", "URL of the request, for rfc9421")
	cmd.Flags().DurationVar(&age, "tolerance", emitter.DefaultTolerance, "how old the timestamp may be; 0 does not look at it")
	return cmd
}

// verifyHint knows the two usual mistakes: an old capture, and an editor that ended the body with a line feed.
func verifyHint(err error, r emitter.Received, o emitter.VerifyOptions) string {
	if errors.Is(err, emitter.ErrTimestamp) {
		return "for an old capture: --tolerance 0 checks the signature alone"
	}
	trimmed := bytes.TrimRight(r.Body, "\r\n")
	changed := len(trimmed) < len(r.Body)
	if r.Body = trimmed; changed && emitter.VerifyRequest(&r, o) == nil {
		return "it verifies without the line feed at its end: the capture added one"
	}
	return ""
}

// capture says where a captured request is, besides in a file.
type capture struct {
	headers []string
	body    string
	method  string
	url     string
}

// captured reads the request from its parts or from one file as it came over the wire.
func (a *app) captured(args []string, from capture) (*emitter.Received, error) {
	r := &emitter.Received{Method: from.method, URL: from.url, Header: http.Header{}}
	if len(from.headers) == 0 {
		name := "-"
		if len(args) == 1 {
			name = args[0]
		}
		raw, err := a.readAll(name)
		if err != nil {
			return nil, err
		}
		return r, parseCapture(raw, r)
	}
	if from.body == "" {
		return nil, usage("--header needs --body", "save the raw body to a file and add --body FILE")
	}
	for _, line := range from.headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, usage(fmt.Sprintf("%q is not a header", line), "write --header 'name: value'")
		}
		r.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	raw, err := a.readAll(from.body)
	r.Body = raw
	return r, err
}

func (a *app) readAll(name string) ([]byte, error) {
	if name == "-" {
		raw, err := io.ReadAll(a.stdin)
		if err != nil {
			return nil, failure(fmt.Errorf("read standard input: %w", err))
		}
		return raw, nil
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, failure(err)
	}
	return raw, nil
}

// parseCapture splits a request as it came over the wire; the request line may be missing.
func parseCapture(raw []byte, into *emitter.Received) error {
	var target string
	if first, rest, ok := bytes.Cut(raw, []byte("\n")); ok && bytes.Contains(first, []byte(" HTTP/")) {
		raw = rest
		if parts := strings.Fields(string(first)); len(parts) == 3 {
			into.Method, target = parts[0], parts[1]
		}
	}
	r := bufio.NewReader(bytes.NewReader(raw))
	h, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil {
		return usage("this is not a captured request: "+err.Error(),
			"it wants headers, an empty line and the body; or use --header and --body")
	}
	into.Header = http.Header(h)
	if into.URL == "" && target != "" {
		into.URL = "https://" + into.Header.Get("Host") + target
	}
	if into.Body, err = io.ReadAll(r); err != nil {
		return failure(err)
	}
	return nil
}

// keyFlags say which secrets verify: given ones, or those of a configured webhook.
type keyFlags struct {
	secrets []string
	webhook string
	style   string
}

func (k *keyFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&k.secrets, "secret", nil, "env:NAME, file:/path or the secret itself (repeat for several)")
	cmd.Flags().StringVar(&k.webhook, "webhook", "", "use the secrets of this configured webhook (default: the only one)")
	cmd.Flags().StringVar(&k.style, "style", "", "with --secret, how it signs: "+strings.Join(emitter.SignStyles(), ", "))
	cmd.MarkFlagsMutuallyExclusive("secret", "webhook")
}

// keys gives the style and the secrets, which are resolved.
func (a *app) keys(k keyFlags) (emitter.VerifyOptions, error) {
	o := emitter.VerifyOptions{Style: k.style, Signature: emitter.DefaultSignature()}
	var refs setting.SecretList
	for _, ref := range k.secrets {
		refs = append(refs, setting.NewSecret(ref))
	}
	if o.Style != "" && !slices.Contains(emitter.SignStyles(), o.Style) {
		return o, usage(fmt.Sprintf("unknown style %q", o.Style), "styles: "+strings.Join(emitter.SignStyles(), ", "))
	}
	switch {
	case len(refs) == 0 && (o.Style != "none" || k.webhook != ""):
		w, err := a.oneWebhook(k.webhook)
		if err != nil {
			return o, err
		}
		if o.Style != "" && o.Style != w.Sign {
			return o, usage(fmt.Sprintf("the webhook %s signs as %s", w.Name, w.Sign), "leave --style out, or give --secret")
		}
		o.Style, o.Signature, refs = w.Sign, w.Signature, w.Secret
	case o.Style == "":
		o.Style = "standard"
	case o.Style == "template":
		return o, usage("the style template is what a webhook says of it", "leave --secret and --style out: deltahook verify --webhook NAME")
	}
	secrets := a.newSecrets()
	for _, ref := range refs {
		v, err := secrets.Resolve(ref)
		if err != nil {
			return o, failureHint(err, setting.Hint(err))
		}
		o.Secrets = append(o.Secrets, v)
	}
	return o, nil
}

// oneWebhook gives a configured webhook by name, or the only one.
func (a *app) oneWebhook(name string) (*emitter.Webhook, error) {
	cfg, _, err := a.load()
	if err != nil {
		return nil, err
	}
	return webhookNamed(cfg, name, "--webhook ")
}

// webhookNamed does the same for a configuration that was read; flag is how to name one.
func webhookNamed(cfg *config.Config, name, flag string) (*emitter.Webhook, error) {
	var names []string
	for _, w := range cfg.Webhooks {
		if w.Name == name || (name == "" && len(cfg.Webhooks) == 1) {
			return w, nil
		}
		names = append(names, w.Name)
	}
	if name == "" {
		return nil, usage("there are several webhooks", "choose one: "+flag+strings.Join(names, ", "+flag))
	}
	return nil, usage(fmt.Sprintf("webhook %q is not configured", name), "webhooks: "+strings.Join(names, ", "))
}
