package emitter

import (
	"strings"
	"testing"

	"github.com/deltahook/deltahook/differ"
)

func TestAWebhookWantsTheEventsThatItsGlobsMatch(t *testing.T) {
	tests := []struct {
		globs []string
		typ   string
		want  bool
	}{
		{nil, "contacts", true},
		{[]string{"contacts.*"}, "contacts", true},
		{[]string{"contacts.*"}, "orders", false},
		{[]string{"*.updated", "orders.created"}, "contacts", true},
		{[]string{"*"}, "crm.contact", true},
		{[]string{"contacts"}, "contacts", false},
	}
	for _, tt := range tests {
		e := sampleEvent()
		e.Type = tt.typ
		w := Webhook{Events: tt.globs}
		if got := w.Wants(e, EncodeStandard(nil, e)); got != tt.want {
			t.Errorf("%v wants %s: %v", tt.globs, e.EventType(), got)
		}
	}
}

// filtered makes a webhook of its conditions and its watched paths.
func filtered(t *testing.T, when, changed []string) *Webhook {
	t.Helper()
	w := validWebhook()
	if err := w.When.SetStrings(when); err != nil {
		t.Fatal(err)
	}
	if err := w.ChangedAny.SetStrings(changed); err != nil {
		t.Fatal(err)
	}
	return &w
}

func TestAWebhookGetsWhatItsConditionsAndItsWatchedPathsAgreeOn(t *testing.T) {
	for _, c := range []struct {
		name          string
		when, changed []string
		kind          differ.Kind
		want          bool
	}{
		{"a condition on the record", []string{"record.a == 9007199254740993"}, nil, differ.Updated, true},
		{"numbers are exact", []string{"record.a == 9007199254740992"}, nil, differ.Updated, false},
		{"all conditions have to hold", []string{"record.b > 1", "key == 4712"}, nil, differ.Updated, false},
		{"on what it was before", []string{`previous.owner\.name == "Ann"`}, nil, differ.Updated, true},
		{"on the kind of change", []string{"change != deleted"}, nil, differ.Deleted, false},
		{"the last known record of a deleted one", []string{"record.b == 1.1"}, nil, differ.Deleted, true},
		{"a watched path changed", nil, []string{"status"}, differ.Updated, true},
		{"something in it changed", nil, []string{"owner"}, differ.Updated, true},
		{"nothing of it changed", nil, []string{"stat", "owner.mail"}, differ.Updated, false},
		{"a created record has not changed", nil, []string{"stat"}, differ.Created, true},
		{"nor has a deleted one", nil, []string{"stat"}, differ.Deleted, true},
		{"nor one that is shown as it is", nil, []string{"stat"}, differ.Snapshot, true},
		{"both have to agree", []string{"record.b > 2"}, []string{"status"}, differ.Updated, false},
	} {
		e := sampleEvent()
		if e.Change.Kind = c.kind; c.kind != differ.Updated {
			e.Change.Delta = differ.Delta{}
		}
		w := filtered(t, c.when, c.changed)
		if got := w.Wants(e, EncodeStandard(nil, e)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		if p := w.Validate(testSecrets()); len(p) > 0 {
			t.Errorf("%s: %v", c.name, p)
		}
	}
}

func TestAConditionOnSomethingThatNoEventHasIsAMistake(t *testing.T) {
	for text, mistake := range map[string]bool{
		"status == open": true, "records.#": true, "recording": true,
		"record.status == open": false, "record": false, "changed.#(==status)": false, "@this.record.id": false, "sequence>5": false,
	} {
		p := filtered(t, []string{text}, nil).Validate(testSecrets())
		if (len(p) == 1) != mistake || mistake && !strings.Contains(p[0].Hint, "record."+text) {
			t.Errorf("%s: %v", text, p)
		}
	}
}
