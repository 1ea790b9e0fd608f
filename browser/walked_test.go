package browser

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// control is what can be pressed: a button of a form, with what it sends, or one that a script serves.
type control struct {
	Method string            `json:"method"` // empty: no form
	Path   string            `json:"path"`
	Fields map[string]string `json:"fields"`
	Button string            `json:"button"` // of a script
}

// describe is the expression that gives the control of an element.
const describe = `(e => {
	const form = e.form;
	if (!form) return {button: e.id || Object.keys(e.dataset).filter(name => name !== "test" && name !== "done")[0] || ""};
	return {method: form.method, path: new URL(form.action).pathname, fields: Object.fromEntries(new FormData(form, e))};
})`

// marked gives the control that mark has found.
func (t *tab) marked() control {
	t.Helper()
	return eval[control](t, describe+`(document.querySelector('[data-test="press"]'))`)
}

// offered gives all controls of the page.
func (t *tab) offered() []control {
	t.Helper()
	return eval[[]control](t, `[...document.querySelectorAll("button")].map(`+describe+`)`)
}

// walked is what was pressed during a walk.
type walked struct {
	mu   sync.Mutex
	list []control
}

func (w *walked) note(c control) {
	if w == nil || c.Method+c.Button == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, c)
}

// kind is the same for controls that do the same to different things.
func (c *control) kind() string {
	if c.Method == "" {
		return "button " + c.Button
	}
	path := regexp.MustCompile(`^/(sources|webhooks|events)/[^/]+`).ReplaceAllString(c.Path, "/$1/NAME")
	return strings.TrimSpace(c.Method + " " + path + " " + c.Fields["step"])
}

// operation is the action of the admin API that the form does; empty: none.
func (c *control) operation() string {
	if c.Method != "post" || c.Fields["step"] == "plan" {
		return ""
	}
	verb, acts := strings.CutPrefix(c.Path, "/act/")
	kind, changes := strings.CutPrefix(c.Path, "/deliveries/")
	switch {
	case acts && c.Fields["level"] != "":
		return verb + " " + c.Fields["level"]
	case acts && verb == "rekey":
		return verb
	case acts && c.Fields["webhook"] != "":
		return verb + "Webhook"
	case acts:
		return verb + "Source"
	case changes:
		return kind
	case strings.HasSuffix(c.Path, "/backfill") && c.Fields["step"] == "stop":
		return "stopBackfill"
	case strings.HasSuffix(c.Path, "/backfill"):
		return "startBackfill"
	}
	return strings.TrimPrefix(c.Path, "/")
}

// operations are the actions of the admin API, by its own document. One that has a choice counts once for each.
func operations(tb testing.TB, url string) map[string]bool {
	tb.Helper()
	resp, err := http.Get(url + "/api/v1/openapi.json")
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct {
		Paths map[string]map[string]struct {
			ID         string `json:"operationId"`
			Parameters []struct {
				Name   string `json:"name"`
				Schema struct {
					Enum []string `json:"enum"`
				} `json:"schema"`
			} `json:"parameters"`
		} `json:"paths"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		tb.Fatal(err)
	}
	all := map[string]bool{}
	for _, methods := range doc.Paths {
		for method, op := range methods {
			if method == "get" {
				continue
			}
			chosen := false
			for _, p := range op.Parameters {
				for _, level := range p.Schema.Enum {
					if p.Name == "level" {
						all[op.ID+" "+level], chosen = true, true
					}
				}
			}
			if !chosen {
				all[op.ID] = true
			}
		}
	}
	if len(all) < 15 {
		tb.Fatalf("only %d actions are described: %v", len(all), all)
	}
	return all
}

// complete fails for each action of the admin API, and for each button of a view, that nobody has pressed.
func (w *walked) complete(tb testing.TB, world *world, t *tab) {
	tb.Helper()
	done, kinds := map[string]bool{}, map[string]bool{}
	for i := range w.list {
		done[w.list[i].operation()] = true
		kinds[w.list[i].kind()] = true
	}
	actions := operations(tb, world.url)
	for _, name := range slices.Sorted(maps.Keys(actions)) {
		if !done[name] {
			tb.Errorf("the admin API has the action %s, and nobody pressed it on the page", name)
		}
	}
	page := []string{"", "login", "logout"} // of the page alone
	for name := range done {
		if !actions[name] && !slices.Contains(page, name) {
			tb.Errorf("something was pressed that is no action of the admin API: %s", name)
		}
	}
	t.signIn()
	missing := map[string]string{}
	for _, v := range views(world) {
		t.open(v[1])
		for _, c := range t.offered() {
			if !kinds[c.kind()] {
				missing[c.kind()] = fmt.Sprintf("%s (%s)", v[0], v[1])
			}
		}
	}
	t.forgive("404")
	t.forgive("409") // what was decided needs no decision any more
	for _, kind := range slices.Sorted(maps.Keys(missing)) {
		tb.Errorf("nobody pressed %q, which the view %s has", kind, missing[kind])
	}
	tb.Logf("%d presses: %d of %d actions of the admin API, %d kinds of buttons", len(w.list), len(done)-len(page), len(actions), len(kinds))
}
