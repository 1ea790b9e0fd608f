package browser

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestTheWebPage walks the page with one browser over one deltahook. The parts follow each other: what one has done, the next
// one sees.
func TestTheWebPage(t *testing.T) {
	browser := start(t)
	w := newWorld(t)
	w.stir()
	walks := &walked{}
	for _, part := range []struct {
		name string
		walk func(testing.TB, *world, *tab)
	}{
		{"every view looks right in light and dark", looks},
		{"every view fits a phone", fitsPhones},
		{"the live list follows until somebody scrolls", follows},
		{"the overview follows by itself and keeps the focus", updates},
		{"lists find what is looked for", searches},
		{"the keyboard is enough", keyboard},
		{"everything works without scripts", withoutScripts},
		{"every action", acts},
		{"no action was left out", walks.complete},
	} {
		t.Run(part.name, func(t *testing.T) {
			p := newTab(t, browser, w.url)
			p.walks = walks
			part.walk(t, w, p)
		})
	}
}

// views are all pages that can be looked at, by the name of their screenshot.
func views(w *world) [][2]string {
	event, strange := w.eventOf("contacts", "4711"), url.QueryEscape("x/y?z#1")
	return [][2]string{
		{"overview", "/"},
		{"overview-found", "/?q=st&state=held&sort=name"},
		{"source-polls", "/sources/invoices"},
		{"source-held", "/sources/stock"},
		{"source-events", "/sources/contacts/events"},
		{"source-records", "/sources/contacts/records"},
		{"source-config", "/sources/contacts/config"},
		{"record", "/sources/contacts/record?key=4711"},
		{"record-strange", "/sources/contacts/record?key=" + strange},
		{"webhook", "/webhooks/erp"},
		{"webhook-failing", "/webhooks/audit?state=pending"},
		{"events", "/events"},
		{"event", "/events/" + event},
		{"event-strange", "/events/" + w.eventOf("contacts", "x/y?z#1")},
		{"deliveries", "/deliveries"},
		{"parked", "/deliveries?state=parked"},
		{"live", "/live"},
		{"alerts", "/alerts"},
		{"login", "/login"},
		{"plan-replay", "/deliveries/replay?state=parked"},
		{"plan-drop", "/deliveries/drop?event=" + event + "&webhook=erp"},
		{"plan-skip", "/deliveries/skip?webhook=audit"},
		{"plan-release", "/act/release?source=stock"},
		{"plan-backfill", "/sources/contacts/backfill"},
		{"plan-reload", "/reload"},
		{"plan-reset", "/act/reset?source=contacts&level=all"},
		{"plan-rekey", "/act/rekey?source=legacy"},
		{"nothing", "/sources/nobody"},
	}
}

func looks(tb testing.TB, w *world, t *tab) {
	tb.Helper()
	for _, scheme := range []string{"light", "dark"} {
		t.scheme(scheme)
		for _, v := range views(w) {
			t.open(v[1])
			if v[0] == "live" {
				t.until("items of the stream", `document.querySelectorAll("#live-list li").length > 3`)
			}
			// What is folded is looked at, too.
			eval[bool](t, `document.querySelectorAll("main details:not(.commands)").forEach(d => d.open = true); true`)
			t.accessible()
			t.look(v[0] + "-" + scheme)
			if title := eval[string](t, "document.title"); !strings.HasSuffix(title, " · deltahook") {
				t.Errorf("%s has the title %q", v[1], title)
			}
		}
	}
	t.forgive("404")
	t.open("/events/" + w.eventOf("contacts", "x/y?z#1"))
	t.has(hostile)
}

func fitsPhones(tb testing.TB, w *world, t *tab) {
	tb.Helper()
	t.width(360)
	for _, v := range views(w) {
		t.open(v[1])
		t.fits()
		if v[0] == "overview" || v[0] == "event" || v[0] == "live" {
			t.look(v[0] + "-phone")
		}
	}
	t.forgive("404")
}

func follows(tb testing.TB, w *world, t *tab) {
	tb.Helper()
	t.open("/live")
	rows := `document.querySelectorAll("#live-list li:not([hidden])").length`
	t.until("items of the stream", rows+" > 3")
	t.has("connected", "contacts.updated", "→ erp", "422")
	t.fill("#live-filter", "invoices")
	t.until("the filter", rows+` > 0 && [...document.querySelectorAll("#live-list li:not([hidden])")].every(e => e.textContent.includes("invoices"))`)
	t.fill("#live-filter", "")

	bottom := `(l => l.scrollHeight - l.scrollTop - l.clientHeight < 24)(document.getElementById("live-list"))`
	eval[bool](t, `document.getElementById("live-list").style.height = "80px"; true`)
	for range 3 {
		w.poll("tickets2")
	}
	t.until("following", bottom)
	eval[bool](t, `document.getElementById("live-list").scrollTop = 0; true`)
	t.until("that it stopped", `!document.getElementById("live-follow").hidden`)
	w.poll("tickets2")
	t.until("that it stays", `!`+bottom)
	t.click("Follow again")
	t.until("following again", bottom)

	t.click("Pause")
	before := eval[int](t, `document.querySelectorAll("#live-list li").length`)
	w.poll("tickets2")
	t.until("what waits", `document.getElementById("live-state").textContent.includes("while paused")`)
	if now := eval[int](t, `document.querySelectorAll("#live-list li").length`); now != before {
		t.Errorf("a paused list has %d items, and had %d", now, before)
	}
	t.click("Go on")
	t.until("what waited", fmt.Sprintf(`document.querySelectorAll("#live-list li").length > %d`, before))
	t.click("Clear")
	t.until("an empty list", `document.querySelectorAll("#live-list li").length === 0`)
}

// searches fills in the forms above lists.
func searches(tb testing.TB, w *world, t *tab) {
	tb.Helper()
	t.open("/")
	t.fill("#q", "stock")
	t.press("Show")
	t.has("1–1 of 1", "stock")
	t.open("/sources/contacts/events")
	t.fill("#f-key", "4711")
	t.press("Show")
	t.has("contacts.updated", "4711", "deltahook events --source contacts --key 4711")
	t.open("/sources/contacts/records")
	t.fill("#f-prefix", "471")
	t.press("Show")
	if found := t.text(".records"); !strings.Contains(found, "4712") || strings.Contains(found, "x/y") {
		t.Errorf("records that begin with 471: %s", found)
	}
	t.open("/webhooks/erp")
	t.fill("#f-reason", "422")
	t.press("Show")
	t.has("parked", "4711")
	t.open("/deliveries")
	t.fill("#f-webhook", "erp")
	t.press("Show")
	t.has("deltahook deliveries --webhook erp")
	t.open("/events")
	t.fill("#f-type", "orders.created")
	t.press("Show")
	t.has("deltahook events --type orders.created")
	t.open("/")
	eval[bool](t, `document.querySelector('#source-rows tr[data-key="orders"] details').open = true; true`)
	t.click("Copy the command deltahook poll orders")
	t.until("the word", `document.querySelector("[data-done]")?.textContent.startsWith("Copied") || false`)
}

func updates(tb testing.TB, w *world, t *tab) {
	tb.Helper()
	t.open("/")
	eval[bool](t, `document.querySelector('#source-rows tr[data-key="orders"] button').focus(); document.querySelector('#source-rows tr[data-key="orders"] details').open = true; true`)
	w.edit(func() {
		w.lists["orders"] = append(w.lists["orders"], map[string]any{"id": 2, "total": 5, "state": "new"})
	})
	w.poll("orders")
	t.until("the new count", `document.querySelector('#source-rows tr[data-key="orders"] [data-label="records"]').textContent === "27"`)
	if !eval[bool](t, `document.activeElement.closest("tr")?.dataset.key === "orders" && document.activeElement.tagName === "BUTTON"`) {
		t.Error("the update took the focus away")
	}
	if !eval[bool](t, `document.querySelector('#source-rows tr[data-key="orders"] details').open`) {
		t.Error("the update closed what was open")
	}
	t.click("Pause updates")
	t.until("the pause", `document.querySelector("[data-pause]").getAttribute("aria-pressed") === "true"`)
	t.click("Updates are paused")
}

func keyboard(tb testing.TB, w *world, t *tab) {
	tb.Helper()
	t.open("/")
	t.do(chromedp.KeyEvent(kb.Tab))
	if at := t.focused(); at != "Skip to the content" {
		t.Errorf("the first stop is %q", at)
	}
	t.do(chromedp.KeyEvent(kb.Enter))
	for i := 0; t.focused() != "Poll now contacts"; i++ {
		if i > 120 {
			t.Fatal("no way to the button")
		}
		t.do(chromedp.KeyEvent(kb.Tab))
		if !eval[bool](t, `document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle !== "none"`) {
			t.Errorf("the focus at %q is not seen", t.focused())
		}
	}
	t.enter()
	t.has("Sign in", "Token")
	t.until("the focus in the field", `document.activeElement.id === "token"`) // it comes with the first frame, behind "load"
	t.do(chromedp.KeyEvent(token))
	t.enter()
	t.has("Poll now contacts", "deltahook poll contacts")
	for i := 0; t.focused() != "Poll now contacts"; i++ {
		if i > 40 {
			t.Fatal("no way to the button of the form")
		}
		t.do(chromedp.KeyEvent(kb.Tab))
	}
	before := w.source("contacts").LastPoll
	t.enter()
	t.has("contacts is being polled")
	w.within("the poll", func() bool { return w.source("contacts").LastPoll.After(before) })
}

func acts(tb testing.TB, w *world, t *tab) {
	tb.Helper()
	t.signIn()
	t.open("/")
	t.press("Pause orders")
	t.has("orders is paused", "deltahook pause orders")
	t.is("orders", "paused")
	t.look("done")
	t.press("Resume orders")
	w.within("orders goes on", func() bool { return w.source("orders").State == "ok" })
	t.press("Poll now orders")
	t.has("orders is being polled")
	t.press("Pause app")
	w.within("app is paused", func() bool { return w.webhook("app").State == "paused" })
	t.press("Resume app")
	w.within("app goes on", func() bool { return w.webhook("app").State == "ok" })
	skips(w, t)
	reloads(w, t)

	t.press("Release stock")
	t.has("becomes events", "deltahook release stock")
	t.press("Release stock")
	t.has("stock is released")
	t.open("/act/discard?source=shop")
	t.press("Discard shop")
	t.has("without events")
	t.open("/")
	t.press("Rekey legacy")
	t.has("2 known records kept, 2 of them under another key")
	t.press("Rekey legacy")
	t.has("keeps its records under the new keys")
	w.within("legacy is well", func() bool { return w.source("legacy").State == "ok" })
	t.open("/sources/contacts/config")
	t.press("Backfill contacts")
	t.fill("#f-to", "app")
	t.press("Plan again")
	t.has("3 known records as snapshots: 3 app", "deltahook backfill contacts --to app")
	t.press("Backfill 3 records")
	t.has("the backfill of contacts has begun")
	w.within("it is done", func() bool { return w.backfill("contacts") == "done" })
	t.open("/sources/contacts/backfill?to=app&rate=1/m")
	t.press("Backfill 3 records")
	t.press("Stop the backfill of contacts")
	t.has("what it told stays told")
	for _, level := range []string{"validators", "cursor", "records", "all"} {
		t.open("/sources/tickets2/config")
		t.press("Reset " + level + " tickets2")
		t.has("deltahook reset tickets2 --" + level)
		t.press("Reset tickets2")
		t.has("tickets2 is reset")
	}
	parked(w, t)
	t.press("Sign out")
	t.has("Sign in")
}

// skips jumps to now: a source over what changed while it was paused, a webhook over what waits.
func skips(w *world, t *tab) {
	t.Helper()
	t.open("/?q=orders")
	t.press("Pause orders")
	t.press("Skip to now orders")
	t.has("no event is made of what changed meanwhile")
	t.press("Skip to now orders")
	t.has("orders goes on from now")
	w.within("orders goes on", func() bool { return w.source("orders").State == "ok" })
	t.open("/webhooks/app")
	t.press("Pause app")
	w.within("app is paused", func() bool { return w.webhook("app").State == "paused" })
	w.edit(func() { w.lists["tickets"] = append(w.lists["tickets"], map[string]any{"id": 2, "open": false}) })
	w.poll("tickets2")
	w.within("something waits", func() bool { return w.webhook("app").Queued > 0 })
	t.open("/webhooks/app")
	t.press("Skip to now app")
	t.has("1 tickets2.created", "deltahook resume app --webhook --skip")
	t.fill("#f-by", "Ann")
	t.press("Skip 1 delivery")
	t.has("1 delivery skipped; app goes on")
	w.within("app goes on", func() bool { return w.webhook("app").State == "ok" })
	t.open("/deliveries?state=dropped&webhook=app")
	t.has("skipped by Ann")
}

// reloads takes an edit in, and shows one that cannot run.
func reloads(w *world, t *tab) {
	t.Helper()
	good := w.text
	w.write(strings.Replace(good, "[source.tickets2]", "[source.tickets2]\nevery = \"2h\"", 1))
	t.open("/")
	t.press("reload")
	t.has("Else only what was changed in them starts anew", "deltahook reload")
	t.press("Reload")
	t.has("1 section changed", "source.tickets2 (changed)")
	w.write(good + "\n[nonsense\n")
	t.open("/reload")
	t.mark("Reload", "main")
	answer, err := chromedp.RunResponse(t.ctx, chromedp.Click(`[data-test="press"]`))
	if err != nil || answer.Status != http.StatusUnprocessableEntity {
		t.Errorf("a configuration that cannot run: %v, %v", answer, err)
	}
	t.has("The configuration cannot run", "nonsense")
	t.forgive("422")
	t.open("/")
	t.has("What stands in the files now cannot run", "deltahook check")
	t.open("/alerts")
	t.has("configuration", "rejected")
	w.write(good)
	t.open("/")
	t.press("Reload the configuration")
	t.press("Reload")
	t.has("1 section changed", "source.tickets2 (changed)")
}

// parked sends again and drops.
func parked(w *world, t *tab) {
	t.Helper()
	t.open("/events/" + w.eventOf("contacts", "4711"))
	t.press("Re-send erp")
	t.has("Replay 1 delivery", "Each keeps its webhook-id")
	t.press("Replay 1 delivery")
	t.has("1 delivery queued again")
	w.within("it is parked again", func() bool { return w.webhook("erp").Parked == 2 })
	t.open("/events/" + w.eventOf("contacts", "4711"))
	t.press("Re-send all failed since this erp")
	t.has("Replay 2 deliveries")
	t.fill("#rate", "100/s")
	t.press("Plan again")
	t.has("--rate 100/s")
	t.press("Replay 2 deliveries")
	t.has("2 deliveries queued again")
	w.within("they are parked again", func() bool { return w.webhook("erp").Parked == 2 })
	t.open("/deliveries?state=parked")
	t.press("Drop all all of these")
	t.fill("#f-by", "Ann")
	t.fill("#f-why", "bad batch")
	t.press("Drop 2 deliveries")
	t.has("2 deliveries dropped", "Nothing is parked")
	t.open("/deliveries?state=dropped")
	t.has("dropped by Ann: bad batch")
}

func withoutScripts(tb testing.TB, w *world, t *tab) {
	tb.Helper()
	call(t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	for _, v := range views(w) {
		t.open(v[1])
		if text := t.text("main"); len(text) < 20 {
			t.Errorf("%s shows only %q", v[1], text)
		}
	}
	t.forgive("404")
	t.open("/live")
	t.has("contacts.updated", "needs a script")
	if eval[bool](t, `[...document.querySelectorAll("[data-copy]")].some(b => !b.hidden)`) {
		t.Error("a copy button is shown that cannot work")
	}
	t.open("/")
	t.press("Pause contacts")
	t.fill("#token", token)
	t.press("Sign in", "main")
	t.press("Pause contacts", "main form")
	t.has("contacts is paused")
	t.is("contacts", "paused")
	t.open("/")
	t.press("Resume contacts")
	t.has("contacts goes on")
}
