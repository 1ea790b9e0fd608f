// Package kubernetes_test holds the manifest to what keeps a state and its secrets safe, and its configuration to the program.
package kubernetes_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/setting"
)

// manifest is what of each kind matters here.
type manifest struct {
	Kind     string            `yaml:"kind"`
	Metadata map[string]any    `yaml:"metadata"`
	Data     map[string]string `yaml:"data"`
	Spec     struct {
		Replicas int            `yaml:"replicas"`
		Strategy strategy       `yaml:"strategy"`
		Selector map[string]any `yaml:"selector"`
		Template struct {
			Spec pod `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

type strategy struct {
	Type    string         `yaml:"type"`
	Rolling map[string]int `yaml:"rollingUpdate"`
}

type pod struct {
	Grace          int              `yaml:"terminationGracePeriodSeconds"`
	Automount      *bool            `yaml:"automountServiceAccountToken"`
	Security       map[string]any   `yaml:"securityContext"`
	InitContainers []container      `yaml:"initContainers"`
	Containers     []container      `yaml:"containers"`
	VolumeList     []map[string]any `yaml:"volumes"`
}

type container struct {
	Name          string           `yaml:"name"`
	RestartPolicy string           `yaml:"restartPolicy"`
	Security      map[string]any   `yaml:"securityContext"`
	Ports         []map[string]any `yaml:"ports"`
	Mounts        []struct {
		Name string `yaml:"name"`
		Path string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
	Startup   probe `yaml:"startupProbe"`
	Liveness  probe `yaml:"livenessProbe"`
	Readiness probe `yaml:"readinessProbe"`
}

type probe struct {
	HTTP struct {
		Path string `yaml:"path"`
		Port string `yaml:"port"`
	} `yaml:"httpGet"`
}

func read(t *testing.T, file string) (byKind map[string]manifest) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	byKind = map[string]manifest{}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	for {
		var m manifest
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return byKind
		} else if err != nil {
			t.Fatal(err)
		}
		byKind[m.Kind] = m
	}
}

func TestTheSidecarIsNativeAloneAndConfined(t *testing.T) {
	d := read(t, "sidecar.yaml")["Deployment"]
	p := d.Spec.Template.Spec
	if d.Spec.Replicas != 1 || d.Spec.Strategy.Type != "Recreate" {
		t.Errorf("%d replicas, %v: two would send everything twice", d.Spec.Replicas, d.Spec.Strategy)
	}
	if p.Grace < 30 || p.Automount == nil || *p.Automount {
		t.Errorf("%d s to stop, service account token %v", p.Grace, p.Automount)
	}
	if p.Security["runAsNonRoot"] != true || p.Security["runAsUser"] != 65532 || p.Security["fsGroup"] != 65532 {
		t.Errorf("%v", p.Security)
	}
	if len(p.InitContainers) != 1 || p.InitContainers[0].RestartPolicy != "Always" || len(p.Containers) != 1 {
		t.Fatalf("no native sidecar: %+v", p.InitContainers)
	}
	c := p.InitContainers[0]
	if c.Security["allowPrivilegeEscalation"] != false || c.Security["readOnlyRootFilesystem"] != true || !strings.Contains(strings.ToLower(toYAML(t, c.Security["capabilities"])), "drop:\n    - all") {
		t.Errorf("%v", c.Security)
	}
	// Neither may depend on the polled API or a receiver; these two paths do not, see docs/operations.md.
	for name, want := range map[string][2]string{"startup": {c.Startup.HTTP.Path, "/readyz"}, "liveness": {c.Liveness.HTTP.Path, "/healthz"}, "readiness": {c.Readiness.HTTP.Path, "/readyz"}} {
		if want[0] != want[1] {
			t.Errorf("the %s probe asks %q", name, want[0])
		}
	}
}

func toYAML(t *testing.T, v any) string {
	t.Helper()
	text, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEveryMountHasItsVolumeAndTheStateIsClaimed(t *testing.T) {
	all := read(t, "sidecar.yaml")
	p := all["Deployment"].Spec.Template.Spec
	volumes := map[string]string{}
	for _, v := range p.VolumeList {
		name, _ := v["name"].(string)
		volumes[name] = toYAML(t, v)
	}
	paths := map[string]string{}
	for _, m := range p.InitContainers[0].Mounts {
		paths[m.Path] = m.Name
		if volumes[m.Name] == "" {
			t.Errorf("there is no volume %s", m.Name)
		}
	}
	claim, _ := all["PersistentVolumeClaim"].Metadata["name"].(string)
	if !strings.Contains(volumes[paths["/data"]], "claimName: "+claim) || claim == "" {
		t.Errorf("the state is in %q", volumes[paths["/data"]])
	}
	if !strings.Contains(volumes[paths["/etc/deltahook"]], "configMap") || !strings.Contains(volumes[paths["/run/secrets/deltahook"]], "secretName") {
		t.Errorf("%v", paths)
	}
}

// runs checks the configuration of a ConfigMap, with the secrets where the manifest mounts them.
func runs(t *testing.T, file string) *config.Config {
	t.Helper()
	text := read(t, file)["ConfigMap"].Data["deltahook.toml"]
	dir := t.TempDir()
	for name, value := range map[string]string{
		"webhook-secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "admin-token": "0123456789abcdef0123456789abcdef",
		"store-url": "postgres://deltahook:hunter2@db.example.com/deltahook?sslmode=verify-full",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	here := strings.ReplaceAll(text, "/run/secrets/deltahook", filepath.ToSlash(dir))
	if here == text {
		t.Fatal("no secret comes from the mounted ones")
	}
	c, report := config.Parse([]config.File{{Path: "deltahook.toml", Text: []byte(here)}}, &setting.Secrets{})
	if err := report.Err(); err != nil || report.Warnings() > 0 {
		t.Fatalf("%v\n%s", err, report)
	}
	if !strings.HasSuffix(c.Admin.Listen, ":9644") || strings.HasPrefix(c.Admin.Listen, "127.") || c.Admin.Token.IsZero() {
		t.Errorf("the probes do not come over loopback: %q", c.Admin.Listen)
	}
	return c
}

func TestTheConfigurationOfTheManifestRuns(t *testing.T) { runs(t, "sidecar.yaml") }

func TestTheReplicasShareADatabaseAndNothingElse(t *testing.T) {
	if c := runs(t, "cluster.yaml"); !strings.HasPrefix(c.Store.URL, "file:") {
		t.Errorf("the address of the database, which has a password, is no secret: %s", c.Store.URL)
	}
	all := read(t, "cluster.yaml")
	d := all["Deployment"]
	p := d.Spec.Template.Spec
	if d.Spec.Replicas < 2 || d.Spec.Strategy.Type != "RollingUpdate" || d.Spec.Strategy.Rolling["maxUnavailable"] != 0 || d.Spec.Strategy.Rolling["maxSurge"] < 1 {
		t.Errorf("%d replicas, %+v", d.Spec.Replicas, d.Spec.Strategy)
	}
	if _, claimed := all["PersistentVolumeClaim"]; claimed || strings.Contains(toYAML(t, p.VolumeList), "persistentVolumeClaim") {
		t.Error("a replica has a state of its own")
	}
	for _, kind := range []string{"PodDisruptionBudget", "Service"} {
		if selector := toYAML(t, all[kind].Spec.Selector); !strings.Contains(selector, "app: deltahook") {
			t.Errorf("the %s selects %q", kind, selector)
		}
	}
	c := p.Containers[0]
	if p.Grace < 30 || p.Automount == nil || *p.Automount || p.Security["runAsNonRoot"] != true || c.Security["readOnlyRootFilesystem"] != true ||
		c.Security["allowPrivilegeEscalation"] != false || !strings.Contains(toYAML(t, c.Security["capabilities"]), "- ALL") {
		t.Errorf("not confined: %+v", p)
	}
	if c.Startup.HTTP.Path != "/readyz" || c.Liveness.HTTP.Path != "/healthz" || c.Readiness.HTTP.Path != "/readyz" {
		t.Errorf("probes: %+v", c)
	}
	mounted := map[string]bool{}
	for _, v := range p.VolumeList {
		name, _ := v["name"].(string)
		mounted[name] = true
	}
	for _, m := range c.Mounts {
		if !mounted[m.Name] {
			t.Errorf("there is no volume %s", m.Name)
		}
	}
}
