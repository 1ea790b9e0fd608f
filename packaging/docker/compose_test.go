package docker_test

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/setting"
)

const (
	example = root + "/examples/docker-sidecar"
	cluster = root + "/examples/cluster"
)

type composition struct {
	Services map[string]service `yaml:"services"`
	Volumes  map[string]any     `yaml:"volumes"`
	Networks map[string]any     `yaml:"networks"`
}

type service struct {
	Build       string            `yaml:"build"`
	Image       string            `yaml:"image"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Volumes     []string          `yaml:"volumes"`
	Networks    []string          `yaml:"networks"`
	DependsOn   []string          `yaml:"depends_on"`
	Deploy      map[string]int    `yaml:"deploy"`
	TempFS      []string          `yaml:"tmpfs"`
	ReadOnly    bool              `yaml:"read_only"`
	CapDrop     []string          `yaml:"cap_drop"`
	SecurityOpt []string          `yaml:"security_opt"`
	Grace       setting.Duration  `yaml:"stop_grace_period"`
	Restart     string            `yaml:"restart"`
}

func readComposition(t *testing.T, example string) (c composition) {
	t.Helper()
	raw, err := os.ReadFile(example + "/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dec := yaml.NewDecoder(strings.NewReader(string(raw)))
	dec.KnownFields(true) // what is not above was not thought of
	if err := dec.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheCompositionMountsWhatIsThereAndNamesWhatItHas(t *testing.T) {
	for _, example := range []string{example, cluster} {
		t.Run(filepath.Base(example), func(t *testing.T) { namesWhatItHas(t, example) })
	}
}

func namesWhatItHas(t *testing.T, example string) {
	t.Helper()
	c := readComposition(t, example)
	for name, s := range c.Services {
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			_, named := c.Volumes[source]
			if _, err := os.Stat(filepath.Join(example, source)); err != nil && !named {
				t.Errorf("%s: there is nothing at %s", name, source)
			}
		}
		for _, n := range s.Networks {
			if _, ok := c.Networks[n]; !ok {
				t.Errorf("%s: there is no network %s", name, n)
			}
		}
		for _, other := range s.DependsOn {
			if _, ok := c.Services[other]; !ok {
				t.Errorf("%s: there is no service %s", name, other)
			}
		}
	}
}

// The container gets the configuration where the image looks for it, keeps its state where the image has it, and has each variable that
// the configuration refers to; what it polls and posts to are services.
func TestTheCompositionFitsTheImageAndTheConfiguration(t *testing.T) {
	c, all := readComposition(t, example), stages(t)
	s, image := c.Services["deltahook"], &all[len(all)-1]
	if s.Build == "" || filepath.Clean(filepath.Join(example, s.Build)) != filepath.Clean(root) {
		t.Errorf("it is built from %q", s.Build)
	}
	if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.Grace.Std().Seconds() < 25 || s.Restart == "" {
		t.Errorf("%+v", s)
	}
	var mounts []string
	for _, v := range s.Volumes {
		_, target, _ := strings.Cut(v, ":")
		mounts = append(mounts, strings.TrimSuffix(target, ":ro"))
	}
	var path string
	for _, v := range image.environment() {
		if p, ok := strings.CutPrefix(v, "DELTAHOOK_CONFIG="); ok {
			path = p
		}
	}
	if !slices.Contains(mounts, path) || !slices.Contains(mounts, image.one(t, "VOLUME")) {
		t.Errorf("mounted at %q; the image has %q and %q", mounts, path, image.one(t, "VOLUME"))
	}
	reaches(t, example, c)
}

// reaches checks that the configuration is one that runs with the variables of the service, and what it polls and posts to are services.
func reaches(t *testing.T, example string, c composition) *config.Config {
	t.Helper()
	s := c.Services["deltahook"]
	text, err := os.ReadFile(example + "/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	secrets := &setting.Secrets{LookupEnv: func(name string) (string, bool) {
		_, ok := s.Environment[name]
		return map[bool]string{true: "postgres://deltahook:x@db/deltahook", false: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}[name == "DELTAHOOK_STORE"], ok
	}}
	conf, report := config.Parse([]config.File{{Path: "config.toml", Text: text}}, secrets)
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	addresses := []string{conf.Webhooks[0].URL, conf.Sources[0].URL}
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := c.Services[u.Hostname()]; !ok || !slices.ContainsFunc(other.Networks, func(n string) bool { return slices.Contains(s.Networks, n) }) {
			t.Errorf("%s is no service that deltahook can reach", address)
		}
	}
	return conf
}

// The replicas have a database in common and nothing of their own.
func TestTheReplicasOfTheCompositionShareADatabase(t *testing.T) {
	c := readComposition(t, cluster)
	s := c.Services["deltahook"]
	if s.Deploy["replicas"] < 2 || len(s.Volumes) != 1 || !strings.HasSuffix(s.Volumes[0], ":ro") || len(s.TempFS) != 1 || !s.ReadOnly || s.Restart == "" {
		t.Errorf("%+v", s)
	}
	u, err := url.Parse(s.Environment["DELTAHOOK_STORE"][:strings.Index(s.Environment["DELTAHOOK_STORE"], ":$")] + "@" +
		strings.SplitAfter(s.Environment["DELTAHOOK_STORE"], "@")[1])
	if err != nil {
		t.Fatal(err)
	}
	db, ok := c.Services[u.Hostname()]
	if !ok || db.Environment["POSTGRES_USER"] != u.User.Username() || strings.Trim(u.Path, "/") != u.User.Username() {
		t.Errorf("%s is no database of the composition", u)
	}
	if conf := reaches(t, cluster, c); conf.Store.URL != "env:DELTAHOOK_STORE" {
		t.Errorf("the store is %s", conf.Store.URL)
	}
}
