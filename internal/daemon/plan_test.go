package daemon_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

const planned = `
[source.contacts]
url   = "https://crm.example.com/contacts"
every = "5m"
key   = "id"

[webhook.app]
url    = "https://app.example.com/hooks"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
`

func parsedConfig(t *testing.T, text string) *config.Config {
	t.Helper()
	c, report := config.Parse([]config.File{{Path: "deltahook.toml", Text: []byte(text)}}, &setting.Secrets{})
	if c == nil || !report.OK() {
		t.Fatalf("%s", report)
	}
	return c
}

func planOf(c *config.Config, was daemon.Stored) ([]admin.Planned, error) {
	return daemon.Plan(c, daemon.FactsOf(c, &setting.Secrets{}), was)
}

// baselined is the row of a source that was polled as the configuration says.
func baselined(name string, removed time.Time) store.SourceRow {
	return store.SourceRow{Name: name, Removed: removed, State: poller.State{
		Version: 3, Records: 1204, Baselined: time.Unix(1e9, 0),
		Identity: `{"origin":"https://crm.example.com:443","records":"@this","key":["id"]}`, Compare: `{}`,
	}}
}

func TestWhatAReloadWouldDo(t *testing.T) {
	left := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	edited := func(old, text string) string { return strings.Replace(planned, old, text, 1) }
	for _, c := range []struct {
		name    string
		text    string
		was     daemon.Stored
		want    []string // source or webhook and kind
		effects []string // parts of all effects and changes
	}{
		{"nothing is stored", planned, daemon.Stored{}, []string{"contacts new", "app unchanged"}, []string{"saves a baseline, no events"}},
		{"nothing is stored, and that is to be sent", edited("every", "initial = \"emit\"\nevery"), daemon.Stored{}, []string{"contacts new", "app unchanged"}, []string{"sends all its records as created"}},
		{"as it is", planned, daemon.Stored{Sources: []store.SourceRow{baselined("contacts", time.Time{})}}, []string{"contacts unchanged", "app unchanged"}, nil},
		{
			"compared in another way", edited("every", "ignore = [\"seen\"]\nunordered = [\"tags\"]\nevery"),
			daemon.Stored{Sources: []store.SourceRow{baselined("contacts", time.Time{})}},
			[]string{"contacts compared", "app unchanged"},
			[]string{"ignore +seen; unordered +tags", "no events: compared anew: 1204 known records"},
		},
		{
			"another host", edited("crm.example.com", "new.example.com"),
			daemon.Stored{Sources: []store.SourceRow{baselined("contacts", time.Time{})}},
			[]string{"contacts held", "app unchanged"},
			[]string{"the origin of url was changed from https://crm.example.com:443 to https://new.example.com:443"},
		},
		{"another path", edited("com/contacts", "com/v2/contacts"), daemon.Stored{Sources: []store.SourceRow{baselined("contacts", time.Time{})}}, []string{"contacts unchanged", "app unchanged"}, nil},
		{"back in time", planned, daemon.Stored{Sources: []store.SourceRow{baselined("contacts", left)}}, []string{"contacts back", "app unchanged"}, []string{"it goes on with 1204 known records"}},
		{
			"removed now and before", planned,
			daemon.Stored{Sources: []store.SourceRow{baselined("contacts", time.Time{}), baselined("former", left), baselined("legacy", time.Time{})}},
			[]string{"contacts unchanged", "former removed", "legacy removed", "app unchanged"},
			[]string{"kept until 2026-12-20 12:00 UTC: 1204", "kept for 30d"},
		},
		{
			"renamed", edited("source.contacts", "source.people"),
			daemon.Stored{Sources: []store.SourceRow{baselined("contacts", time.Time{})}},
			[]string{"contacts removed", "people new", "app unchanged"},
			[]string{"people has the same records: if it was only renamed, name it contacts again"},
		},
		{
			"not renamed: it was there before", planned + strings.Replace(planned[:strings.Index(planned, "[webhook")], "contacts]", "people]", 1),
			daemon.Stored{Sources: []store.SourceRow{baselined("contacts", time.Time{}), baselined("gone", time.Time{})}},
			[]string{"contacts unchanged", "gone removed", "people new", "app unchanged"},
			[]string{"people has the same records"},
		},
		{
			"a webhook with a queue is removed", edited("webhook.app", "webhook.crm"),
			daemon.Stored{Sources: []store.SourceRow{baselined("contacts", time.Time{})}, Queues: []store.Queue{{Webhook: "app", Pending: 11, Parked: 1}}},
			[]string{"contacts unchanged", "crm unchanged", "app removed"},
			[]string{"kept in the store until it is configured again: 12 deliveries (1 parked)"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			steps, err := planOf(parsedConfig(t, c.text), c.was)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			var effects []string
			for _, s := range steps {
				got = append(got, s.Source+s.Webhook+" "+s.Kind)
				effects = append(effects, s.Effect, strings.Join(s.Changes, "; "))
			}
			said := strings.Join(effects, "\n")
			if !slices.Equal(got, c.want) {
				t.Errorf("steps %q, want %q", got, c.want)
			}
			for _, part := range c.effects {
				if !strings.Contains(said, part) {
					t.Errorf("%q is not said:\n%s", part, said)
				}
			}
		})
	}
}

func TestAPlanComparesWithTheRunningConfiguration(t *testing.T) {
	was := daemon.Stored{Sources: []store.SourceRow{baselined("contacts", time.Time{})}, Running: daemon.FactsOf(parsedConfig(t, planned), &setting.Secrets{}), Queues: []store.Queue{{Webhook: "crm", Pending: 7}}}
	next := strings.NewReplacer(`"5m"`, "\"1m\"\nto = [\"app\", \"crm\"]\nheaders = { X-Api-Key = \"planted\" }\npages = { kind = \"link\" }", "MfKQ9r8G", "AAAAAAAA").Replace(planned) +
		"[webhook.crm]\nurl = \"https://crm.example.com/hooks\"\nsecret = \"env:NOPE\"\n"
	c, _ := config.Parse([]config.File{{Path: "deltahook.toml", Text: []byte(next)}}, &setting.Secrets{LookupEnv: func(string) (string, bool) { return "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true }})
	steps, err := planOf(c, was)
	if err != nil {
		t.Fatal(err)
	}
	contacts := steps[0]
	for _, want := range []string{"every 5m → 1m", "to nothing → app, crm", "pages.kind nothing → link"} {
		if !slices.Contains(contacts.Changes, want) {
			t.Errorf("changes %q lack %q", contacts.Changes, want)
		}
	}
	if contacts.Kind != admin.PlanChanged || strings.Contains(strings.Join(contacts.Changes, " "), "planted") {
		t.Errorf("%+v", contacts)
	}
	if crm := steps[2]; crm.Kind != admin.PlanBack || crm.Effect != "what waits for it goes out: 7 deliveries" {
		t.Errorf("%+v", crm)
	}
}
