package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// artifacts is where screenshots are kept.
const artifacts = "artifacts"

// findChromium gives the browser, or skips the test: a machine without one is no failure.
func findChromium(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	tb.Skip("there is no Chromium; install the package chromium, or set CHROMIUM")
	return ""
}

// start opens a browser with a profile of its own.
func start(tb testing.TB) context.Context {
	tb.Helper()
	path := findChromium(tb)
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(tb.TempDir()), chromedp.WindowSize(1360, 900),
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
	}
	for _, flag := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-extensions", "disable-dev-shm-usage", "hide-scrollbars", "mute-audio"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	tb.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	tb.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		tb.Fatal(err)
	}
	return ctx
}

// tab is a page of the browser. What its console complains about fails the test.
type tab struct {
	testing.TB

	ctx   context.Context
	base  string
	walks *walked // nil: nobody asks what was pressed

	mu        sync.Mutex
	complains []string
}

func newTab(tb testing.TB, browser context.Context, base string) *tab {
	tb.Helper()
	const most = 5 * time.Minute
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext()) // with cookies of its own
	tb.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, most)
	tb.Cleanup(cancel)
	t := &tab{TB: tb, ctx: ctx, base: base}
	if err := chromedp.Listen(ctx, t.hear); err != nil {
		tb.Fatal(err)
	}
	call(t, runtime.Enable, cdp.Empty{})
	call(t, log.Enable, cdp.Empty{})
	call(t, audits.Enable, cdp.Empty{})
	tb.Cleanup(t.quiet)
	return t
}

// call gives the browser a command of its protocol.
func call[P, R any](t *tab, command cdp.Command[P, R], params P) R {
	t.Helper()
	result, err := chromedp.Call(t.ctx, command, params)
	if err != nil {
		t.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

// eval gives the value of an expression on the page.
func eval[T any](t *tab, expression string) T {
	t.Helper()
	v, err := chromedp.Run(t.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// hear collects what goes wrong inside the browser.
func (t *tab) hear(event any) {
	complain := ""
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			for _, a := range e.Args {
				complain += string(a.Value) + " "
			}
			complain = "console: " + complain
		}
	case *runtime.EventExceptionThrown:
		complain = fmt.Sprintf("exception: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			complain = "log: " + e.Entry.Text + " " + e.Entry.URL
		}
	case *audits.EventIssueAdded:
		if v := e.Issue.Details.ContentSecurityPolicyIssueDetails; v != nil {
			complain = fmt.Sprintf("policy: %s blocked %s", v.ViolatedDirective, v.BlockedURL)
		}
	case *page.EventJavascriptDialogOpening:
		complain = "a dialog opened: " + e.Message
	}
	if complain != "" {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.complains = append(t.complains, complain)
	}
}

// forgive drops complaints that a test has caused on purpose.
func (t *tab) forgive(word string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.complains[:0]
	for _, c := range t.complains {
		if !strings.Contains(c, word) {
			kept = append(kept, c)
		}
	}
	t.complains = kept
}

func (t *tab) quiet() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.complains {
		t.Errorf("the browser complains: %s", c)
	}
}

func (t *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(t.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// open goes to a path.
func (t *tab) open(path string) {
	t.Helper()
	t.do(chromedp.Navigate(t.base + path))
}

func (t *tab) path() string {
	t.Helper()
	return eval[string](t, `location.pathname + location.search`)
}

// text gives what a selector shows.
func (t *tab) text(selector string) string {
	t.Helper()
	return eval[string](t, `(document.querySelector(`+quote(selector)+`) || {}).innerText || ""`)
}

// has fails unless the page shows the words.
func (t *tab) has(words ...string) {
	t.Helper()
	shown := t.text("body")
	for _, w := range words {
		if !strings.Contains(shown, w) {
			t.Errorf("%s does not show %q; it shows\n%s", t.path(), w, shown)
		}
	}
}

// press clicks the button or link of this name, inside a part of the page, and waits for the page that it leads to.
func (t *tab) press(name string, within ...string) {
	t.Helper()
	t.mark(name, strings.Join(within, " "))
	what := t.marked()
	answer, err := chromedp.RunResponse(t.ctx, chromedp.Click(`[data-test="press"]`))
	if err != nil {
		t.Fatalf("press %q: %v", name, err)
	}
	if answer.Status >= 400 {
		t.Errorf("press %q: the answer is %d; it shows\n%s", name, answer.Status, t.text("main"))
		return
	}
	t.walks.note(what)
}

// mark finds what can be pressed by its whole text, as it is read to those who do not see it.
func (t *tab) mark(name, within string) {
	t.Helper()
	find := `(() => {
		const all = [...document.querySelectorAll(["a", "button", "summary"].map(e => ` + quote(within+" ") + ` + e).join())];
		const el = all.find(e => !e.hidden && e.textContent.trim().replace(/\s+/g, " ") === ` + quote(name) + `);
		document.querySelectorAll("[data-test]").forEach(e => delete e.dataset.test);
		if (!el) return false;
		el.dataset.test = "press";
		return true;
	})()`
	if !eval[bool](t, find) {
		t.Fatalf("%s has nothing to press named %q; it shows\n%s", t.path(), name, t.text("body"))
	}
}

// look keeps a screenshot of the whole page.
func (t *tab) look(name string) {
	t.Helper()
	png, err := chromedp.Run(t.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(artifacts, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(artifacts, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// scheme makes the browser prefer light or dark.
func (t *tab) scheme(name string) {
	t.Helper()
	call(t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})
}

// width makes the window as wide as that of a device.
func (t *tab) width(pixels int64) {
	t.Helper()
	t.do(chromedp.EmulateViewport(pixels, 800))
}

// fits fails when the page is wider than its window.
func (t *tab) fits() {
	t.Helper()
	if wide := eval[int](t, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
		t.Errorf("%s is %d pixels wider than the window", t.path(), wide)
	}
}

// accessible runs axe-core and fails for what it calls serious or critical.
func (t *tab) accessible() {
	t.Helper()
	axe, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Log("axe-core is not installed; run: npm ci --prefix browser")
		return
	}
	eval[bool](t, string(axe)+"; true")
	raw := eval[string](t, `axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.map(v => ({
		id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.html + " :: " + n.failureSummary)}))))`)
	var found []struct {
		ID, Impact, Help string
		Nodes            []string
	}
	if err := json.Unmarshal([]byte(raw), &found); err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		if v.Impact == "serious" || v.Impact == "critical" {
			t.Errorf("%s: %s (%s): %s\n  %s", t.path(), v.ID, v.Impact, v.Help, strings.Join(v.Nodes, "\n  "))
		} else {
			t.Logf("%s: %s (%s): %s\n  %s", t.path(), v.ID, v.Impact, v.Help, strings.Join(v.Nodes, "\n  "))
		}
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// until waits for a condition on the page.
func (t *tab) until(what, expression string) {
	t.Helper()
	const limit = 15 * time.Second
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !eval[bool](t, expression); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s: %s; the page shows\n%s", t.path(), limit, what, t.text("body"))
		}
	}
}

// fill types into a field, instead of what was there.
func (t *tab) fill(selector, text string) {
	t.Helper()
	eval[bool](t, `(e => { e.focus(); e.select(); return true; })(document.querySelector(`+quote(selector)+`))`)
	if text == "" {
		text = kb.Delete
	}
	t.do(chromedp.KeyEvent(text))
}

// click presses a button that leads nowhere.
func (t *tab) click(name string) {
	t.Helper()
	t.mark(name, "")
	what := t.marked()
	t.do(chromedp.Click(`[data-test="press"]`))
	t.walks.note(what)
}

// enter presses the key, and waits for the page that it leads to.
func (t *tab) enter() {
	t.Helper()
	if _, err := chromedp.RunResponse(t.ctx, chromedp.KeyEvent(kb.Enter)); err != nil {
		t.Fatal(err)
	}
}

// focused gives the text of what has the focus.
func (t *tab) focused() string {
	t.Helper()
	return eval[string](t, `document.activeElement.textContent.trim().replace(/\s+/g, " ").slice(0, 80)`)
}

func (t *tab) signIn() {
	t.Helper()
	t.open("/login")
	t.fill("#token", token)
	t.press("Sign in", "main")
	t.has("Sign out")
}

// is fails unless the overview says that a source is in a state.
func (t *tab) is(source, state string) {
	t.Helper()
	t.open("/?q=" + source)
	if row := t.text(`#source-rows tr[data-key="` + source + `"]`); !strings.Contains(row, state) {
		t.Errorf("%s is not %s: %s", source, state, row)
	}
}
