// Package scaffold makes the configuration of an API that nobody has described: it asks the API a few times, lets package
// guess look at the answers, tries what that proposes with the poller itself, and writes a file whose comments say what
// each line rests on.
package scaffold

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/guess"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

// Options say which API, how it is asked, and what the user knows of it already.
type Options struct {
	URL     string
	Method  string   // empty: GET, or POST with a body
	Body    string   // empty: none
	Headers []string // "Name: value", where a secret stands as env:NAME, file:/path or cred:NAME
	User    string   // "name:env:PASSWORD"
	Set     []string // more keys of the source, as in the file: `timeout = "2m"`
	Name    string   // empty: made from the URL
	Every   string   // empty: "5m"
	Records string   // empty: found
	Key     []string // empty: found

	Wait      time.Duration // between the two readings
	Secrets   *setting.Secrets
	UserAgent string
	Now       time.Time
	// Progress is told of each step, in one line; nil: nobody.
	Progress func(line string)
}

// Draft is a configuration that passed its trial.
type Draft struct {
	Name     string
	TOML     []byte
	Guess    *guess.Guess
	Notes    []guess.Note
	Requests int
}

// Unsure gives the notes that a person should look at.
func (d *Draft) Unsure() []guess.Note {
	var out []guess.Note
	for _, n := range d.Notes {
		if n.Unsure {
			out = append(out, n)
		}
	}
	return out
}

// WebhookSecret is the environment variable to which the webhook of a draft refers.
const WebhookSecret = "APP_WEBHOOK_SECRET" //nolint:gosec // a name

// OptionsError says that the options cannot be used; nobody was asked.
type OptionsError struct{ error }

// Unwrap gives what is wrong with them.
func (e *OptionsError) Unwrap() error { return e.error }

// Make asks the API and drafts its configuration. Errors have their next step (setting.Hint); those of the options are of the type *OptionsError.
func Make(ctx context.Context, o Options) (*Draft, error) {
	d := &drafter{o: o, secrets: withWebhookSecret(o.Secrets)}
	if d.o.Progress == nil {
		d.o.Progress = func(string) {}
	}
	if err := d.prepare(); err != nil {
		return nil, &OptionsError{err}
	}
	if err := d.look(ctx); err != nil {
		return nil, err
	}
	if err := d.tryPages(ctx); err != nil {
		return nil, err
	}
	if err := d.settle(ctx); err != nil {
		return nil, err
	}
	text := d.render()
	if _, err := d.parse(text); err != nil {
		return nil, fmt.Errorf("what was written does not pass the check, please report it: %w", err)
	}
	return &Draft{Name: d.o.Name, TOML: text, Guess: d.guess, Notes: d.notes(), Requests: d.requests}, nil
}

// drafter is one run.
type drafter struct {
	o        Options
	secrets  *setting.Secrets
	keys     []line // of the source, as the user gave them
	answer   *guess.Answer
	guess    *guess.Guess
	pages    *guess.Paging // that was accepted
	reading  *reading      // the second one
	noise    *guess.Noise
	more     []guess.Note
	requests int
}

func (d *drafter) unsure(about, format string, args ...any) {
	d.more = append(d.more, guess.Note{About: about, Text: fmt.Sprintf(format, args...), Unsure: true})
}

func (d *drafter) note(about, format string, args ...any) {
	d.more = append(d.more, guess.Note{About: about, Text: fmt.Sprintf(format, args...)})
}

// notes gives all that is to be said, in the order of the keys in the file.
func (d *drafter) notes() []guess.Note {
	all := append([]guess.Note(nil), d.guess.Notes...)
	all = append(all, d.more...)
	if d.noise != nil {
		all = append(all, d.noise.Notes...)
	}
	return all
}

// look takes the first reading.
func (d *drafter) look(ctx context.Context) error {
	sample, err := d.sample(ctx)
	if err != nil {
		return err
	}
	d.o.Progress(fmt.Sprintf("%s %s   %d   %s   %d bytes   %s", d.method(), shownURL(d.o.URL), sample.Status, sample.Took.Round(time.Millisecond), len(sample.Body), sample.Header.Get("Content-Type")))
	d.answer = &guess.Answer{URL: sample.URL, Header: sample.Header, Body: sample.Body, Asked: d.o.Body}
	hints, err := d.hints()
	if err != nil {
		return err
	}
	d.guess, err = guess.Look(d.answer, hints)
	return err
}

// withWebhookSecret lets a draft be checked before the secret of its webhook exists.
func withWebhookSecret(s *setting.Secrets) *setting.Secrets {
	if s == nil {
		s = &setting.Secrets{}
	}
	return &setting.Secrets{CredentialsDir: s.CredentialsDir, LookupEnv: func(name string) (string, bool) {
		if name == WebhookSecret {
			return "whsec_" + strings.Repeat("A", 32), true
		}
		if s.LookupEnv == nil {
			return "", false
		}
		return s.LookupEnv(name)
	}}
}

func (d *drafter) hints() (guess.Hints, error) {
	var h guess.Hints
	if d.o.Records != "" {
		p, err := differ.ParsePath(d.o.Records)
		if err != nil {
			return h, err
		}
		h.Records = p
	}
	for _, text := range d.o.Key {
		p, err := differ.ParsePath(text)
		if err != nil {
			return h, err
		}
		h.Key = append(h.Key, p)
	}
	return h, nil
}

// settle compares the two readings.
func (d *drafter) settle(ctx context.Context) error {
	if d.reading == nil {
		r, err := d.read(ctx, nil)
		if err != nil {
			return err
		}
		if r.err != nil && !r.more() {
			return &setting.HintedError{Message: "a trial of what was guessed failed: " + r.err.Error(), Hint: r.hint}
		}
		d.reading = r
	}
	first, err := d.guess.ByKey(d.answer)
	if err != nil {
		return err
	}
	if d.guess.Single && len(d.guess.Key) == 0 {
		first, d.reading.first = rekeyed(first), rekeyed(d.reading.first)
	}
	d.noise, err = guess.Compare(first, d.reading.first)
	return err
}

// rekeyed gives the one record of a single object the same key, whatever its source is called.
func rekeyed(records map[string][]byte) map[string][]byte {
	for _, r := range records {
		return map[string][]byte{"": r}
	}
	return nil
}

// parse gives the source of a configuration as the daemon would read it.
func (d *drafter) parse(text []byte) (*poller.Source, error) {
	cfg, report := config.Parse([]config.File{{Path: "init", Text: text}}, d.secrets)
	if !report.OK() {
		for _, p := range report.Problems {
			if !p.Warning {
				return nil, &setting.HintedError{Message: p.Message, Hint: p.Hint}
			}
		}
	}
	s, _ := cfg.Source(d.o.Name)
	return s, nil
}
