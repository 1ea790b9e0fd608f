// Package prometheus_test holds alert rules, dashboard and documentation to the metrics that there are.
package prometheus_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/metrics"
)

// exposed gives the kind of each metric that the daemon has.
func exposed(t *testing.T) map[string]string {
	t.Helper()
	text := metrics.New().Text(&metrics.Now{StoreBytes: 1, Status: admin.Status{Started: time.Now(), Config: &admin.Config{}, Members: []admin.Member{{Self: true}}}})
	kinds := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\w+) (\w+)$`).FindAllStringSubmatch(string(text), -1) {
		kinds[m[1]] = m[2]
	}
	if len(kinds) < 30 {
		t.Fatalf("only %d metrics", len(kinds))
	}
	return kinds
}

var name = regexp.MustCompile(`\b(?:deltahook|go|process)_[a-z_]+\b`)

// exist fails for names of metrics in an expression that the daemon does not have.
func exist(t *testing.T, kinds map[string]string, where, expr string) {
	t.Helper()
	found := name.FindAllString(expr, -1)
	if len(found) == 0 {
		t.Errorf("%s: no metric in %q", where, expr)
	}
	for _, metric := range found {
		family, kind := metric, kinds[metric]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(metric, suffix); ok && kinds[base] != "" {
				family, kind = base, kinds[base]
				if suffix == "_bucket" && kind != "histogram" {
					t.Errorf("%s: %s is a %s, without buckets", where, base, kind)
				}
			}
		}
		if kind == "" {
			t.Errorf("%s: there is no metric %s", where, family)
		}
	}
}

type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func alerts(t *testing.T) []alert {
	t.Helper()
	raw, err := os.ReadFile("deltahook.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

func TestEveryAlertIsAboutAMetricThatExistsAndSaysWhatToDo(t *testing.T) {
	kinds, seen := exposed(t), map[string]bool{}
	for _, a := range alerts(t) {
		if seen[a.Alert] || !strings.HasPrefix(a.Alert, "Deltahook") {
			t.Errorf("%q is there twice, or is no name of ours", a.Alert)
		}
		seen[a.Alert] = true
		exist(t, kinds, a.Alert, a.Expr)
		if len(a.Annotations["summary"]) < 20 || len(a.Annotations["runbook"]) < 40 || a.Labels["severity"] == "" {
			t.Errorf("%s says too little: %v", a.Alert, a.Annotations)
		}
		for _, m := range regexp.MustCompile(`deltahook_\w+`).FindAllString(a.Annotations["runbook"], -1) {
			exist(t, kinds, a.Alert+" runbook", m)
		}
	}
	for _, must := range []string{"SourceFailing", "SourceHeld", "SourceQuiet", "DeliveriesLate", "EventsParked", "ReloadFailed", "SchedulerStalled"} {
		if !seen["Deltahook"+must] {
			t.Errorf("there is no alert %s", must)
		}
	}
}

// panel is a part of a dashboard.
type panel struct {
	Title       string `json:"title"`
	Type        string `json:"type"`
	Description string `json:"description"`
	Targets     []struct {
		Expr string `json:"expr"`
	} `json:"targets"`
	GridPos struct {
		X int `json:"x"`
		W int `json:"w"`
	} `json:"gridPos"`
}

// dashboard is what of a dashboard matters here.
type dashboard struct {
	UID        string  `json:"uid"`
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name  string `json:"name"`
			Query any    `json:"query"`
		} `json:"list"`
	} `json:"templating"`
}

func readDashboard(t *testing.T) (board dashboard) {
	t.Helper()
	raw, err := os.ReadFile("../grafana/deltahook.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &board); err != nil {
		t.Fatal(err)
	}
	return board
}

func TestEveryPanelShowsAMetricThatExistsAndGivesAdvice(t *testing.T) {
	kinds, board := exposed(t), readDashboard(t)
	variables := map[string]bool{"__rate_interval": true}
	for _, v := range board.Templating.List {
		variables[v.Name] = true
		if q, ok := v.Query.(map[string]any); ok {
			exist(t, kinds, "variable "+v.Name, fmt.Sprint(q["query"]))
		}
	}
	shown := 0
	for _, p := range board.Panels {
		if p.Type == "row" {
			continue
		}
		shown++
		if p.GridPos.X+p.GridPos.W > 24 || len(p.Targets) == 0 || !strings.HasSuffix(p.Description, ".") {
			t.Errorf("%q does not fit, shows nothing, or says nothing: %q", p.Title, p.Description)
		}
		for _, target := range p.Targets {
			exist(t, kinds, p.Title, target.Expr)
			for _, m := range regexp.MustCompile(`\$(\w+)`).FindAllStringSubmatch(target.Expr, -1) {
				if !variables[m[1]] {
					t.Errorf("%q: there is no variable %s", p.Title, m[1])
				}
			}
		}
	}
	if shown < 20 || board.UID != "deltahook" {
		t.Errorf("%d panels, uid %q", shown, board.UID)
	}
}

func TestEveryMetricIsDocumentedAndNoOther(t *testing.T) {
	raw, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds, documented := exposed(t), map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w+) \\|").FindAllStringSubmatch(string(raw), -1) {
		documented[m[1]] = m[2]
	}
	for metric, kind := range kinds {
		if documented[metric] != kind {
			t.Errorf("%s is a %s; docs/metrics.md says %q", metric, kind, documented[metric])
		}
	}
	for metric := range documented {
		if kinds[metric] == "" {
			t.Errorf("docs/metrics.md has %s, which does not exist", metric)
		}
	}
}

// The expressions are parsed, and those of alerts tried against series, by Prometheus' own tool.
func TestPromtoolUnderstandsEveryExpressionAndTriesTheAlerts(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if promtool, err = exec.LookPath("../../bin/promtool"); err != nil {
			t.Skip("promtool is not installed; make promtool")
		}
	}
	for _, args := range [][]string{
		{"check", "rules", "deltahook.rules.yml"},
		{"test", "rules", "deltahook.rules.test.yml"},
		{"check", "rules", "--lint=none", panelsAsRules(t)},
	} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// panelsAsRules writes the expressions of the dashboard as a file of rules, so that promtool reads them.
func panelsAsRules(t *testing.T) string {
	t.Helper()
	var rules []map[string]string
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			rules = append(rules, map[string]string{"record": "x", "expr": strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")})
		}
	}
	text, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "panels.yml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
