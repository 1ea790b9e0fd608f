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
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/setting"
)

func (a *app) verify() *cobra.Command {
	var (
		keys    keyFlags
		headers []string
		body    string
		age     time.Duration
	)
	cmd := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Check the signature of a captured webhook request",
		Long: "Checks a captured request. FILE (or standard input) holds it as it came over the wire: request line, headers, an\n" +
			"empty line, the body, byte for byte. Or give the parts:\n\n" +
			"  deltahook verify --secret env:APP_WEBHOOK_SECRET --header 'webhook-id: evt_…' --header 'webhook-timestamp: …' \\\n" +
			"      --header 'webhook-signature: v1,…' --body body.json",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			secrets, err := a.keys(keys)
			if err != nil {
				return err
			}
			h, payload, err := a.captured(args, headers, body)
			if err != nil {
				return err
			}
			if err := emitter.Verify(h, payload, secrets, time.Now(), age); err != nil {
				return failureHint(fmt.Errorf("not verified: %w", err), verifyHint(err, h, payload, secrets, age))
			}
			fmt.Fprintf(a.stdout, "verified: %s, %d bytes\n", h.Get("webhook-id"), len(payload))
			return nil
		},
	}
	keys.flags(cmd)
	cmd.Flags().StringArrayVar(&headers, "header", nil, "a header of the request, \"name: value\" (repeat)")
	cmd.Flags().StringVar(&body, "body", "", "file with the body, - for standard input")
	cmd.Flags().DurationVar(&age, "tolerance", emitter.DefaultTolerance, "how old the timestamp may be; 0 does not look at it")
	return cmd
}

// verifyHint knows the two usual mistakes: an old capture, and an editor that ended the body with a line feed.
func verifyHint(err error, h http.Header, body []byte, secrets []string, age time.Duration) string {
	if errors.Is(err, emitter.ErrTimestamp) {
		return "for an old capture: --tolerance 0 checks the signature alone"
	}
	if trimmed := bytes.TrimRight(body, "\r\n"); len(trimmed) < len(body) && emitter.Verify(h, trimmed, secrets, time.Now(), age) == nil {
		return "it verifies without the line feed at its end: the capture added one"
	}
	return ""
}

// captured reads the request from its parts or from one file as it came over the wire.
func (a *app) captured(args, headers []string, body string) (http.Header, []byte, error) {
	if len(headers) == 0 {
		name := "-"
		if len(args) == 1 {
			name = args[0]
		}
		raw, err := a.readAll(name)
		if err != nil {
			return nil, nil, err
		}
		return parseCapture(raw)
	}
	if body == "" {
		return nil, nil, usage("--header needs --body", "save the raw body to a file and add --body FILE")
	}
	h := http.Header{}
	for _, line := range headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, nil, usage(fmt.Sprintf("%q is not a header", line), "write --header 'name: value'")
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	raw, err := a.readAll(body)
	return h, raw, err
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
func parseCapture(raw []byte) (http.Header, []byte, error) {
	if first, rest, ok := bytes.Cut(raw, []byte("\n")); ok && bytes.Contains(first, []byte(" HTTP/")) {
		raw = rest
	}
	r := bufio.NewReader(bytes.NewReader(raw))
	h, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil {
		return nil, nil, usage("this is not a captured request: "+err.Error(),
			"it wants headers, an empty line and the body; or use --header and --body")
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, nil, failure(err)
	}
	return http.Header(h), body, nil
}

// keyFlags say which secrets verify: given ones, or those of a configured webhook.
type keyFlags struct {
	secrets []string
	webhook string
}

func (k *keyFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&k.secrets, "secret", nil, "env:NAME, file:/path or the secret itself (repeat for several)")
	cmd.Flags().StringVar(&k.webhook, "webhook", "", "use the secrets of this configured webhook (default: the only one)")
	cmd.MarkFlagsMutuallyExclusive("secret", "webhook")
}

func (a *app) keys(k keyFlags) ([]string, error) {
	refs := make([]setting.Secret, len(k.secrets))
	for i, ref := range k.secrets {
		refs[i] = setting.NewSecret(ref)
	}
	secrets := a.newSecrets()
	if len(refs) == 0 {
		w, err := a.oneWebhook(k.webhook)
		if err != nil {
			return nil, err
		}
		refs = w.Secret
	}
	values := make([]string, len(refs))
	for i, ref := range refs {
		v, err := secrets.Resolve(ref)
		if err != nil {
			return nil, failureHint(err, setting.Hint(err))
		}
		values[i] = v
	}
	return values, nil
}

// oneWebhook gives a configured webhook by name, or the only one.
func (a *app) oneWebhook(name string) (*emitter.Webhook, error) {
	cfg, _, err := a.load()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, w := range cfg.Webhooks {
		if w.Name == name || (name == "" && len(cfg.Webhooks) == 1) {
			return w, nil
		}
		names = append(names, w.Name)
	}
	if name == "" {
		return nil, usage("there are several webhooks", "choose one: --webhook "+strings.Join(names, ", --webhook "))
	}
	return nil, usage(fmt.Sprintf("webhook %q is not configured", name), "webhooks: "+strings.Join(names, ", "))
}
