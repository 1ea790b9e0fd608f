// What HTML alone does not do: clocks that tick, updates without loading anew, copy buttons, the live list. Everything works
// without it.
"use strict";
(() => {
  const skew = Date.parse(document.body.dataset.now) - Date.now();
  const now = () => Date.now() + skew;
  const say = (text) => { document.getElementById("say").textContent = text; };

  // The same words as the server writes.
  const short = (ms) => {
    const two = (n, large, l, small, s) => {
      const rest = Math.floor((n % large) / small);
      return Math.floor(n / large) + l + (rest > 0 ? " " + rest + s : "");
    };
    const s = Math.floor(ms / 1000);
    if (s < 60) return Math.max(0, s) + "s";
    if (s < 3600) return two(s, 60, "m", 1, "s");
    if (s < 86400) return two(s, 3600, "h", 60, "m");
    return two(s, 86400, "d", 3600, "h");
  };
  const tick = () => {
    for (const t of document.querySelectorAll("time[data-rel]")) {
      const d = now() - Date.parse(t.dateTime);
      let text = d < 1000 ? "just now" : short(d) + " ago";
      if (t.dataset.rel === "until") text = -d < 1000 ? "now" : "in " + short(-d);
      if (t.textContent !== text) t.textContent = text;
    }
  };

  const copyButtons = (root) => {
    if (!navigator.clipboard) return;
    for (const b of root.querySelectorAll("[data-copy]")) b.hidden = false;
  };
  document.addEventListener("click", async (e) => {
    const b = e.target.closest("[data-copy]");
    if (!b) return;
    try {
      await navigator.clipboard.writeText(b.dataset.copy);
      say("copied");
      b.dataset.done = "";
      const old = b.firstChild.textContent;
      b.firstChild.textContent = "Copied";
      setTimeout(() => { b.firstChild.textContent = old; delete b.dataset.done; }, 1500);
    } catch { say("the browser does not let this page copy"); }
  });

  // morph makes one element like another, and leaves alone what is the same: focus, open details and scrolling stay.
  const morph = (to, from) => {
    for (const a of [...to.attributes]) if (!from.hasAttribute(a.name) && a.name !== "open" && a.name !== "hidden") to.removeAttribute(a.name);
    for (const a of from.attributes) if (a.name !== "hidden" && a.name !== "open" && to.getAttribute(a.name) !== a.value) to.setAttribute(a.name, a.value);
    const keyed = new Map([...to.children].filter((c) => c.dataset.key).map((c) => [c.dataset.key, c]));
    let at = to.firstChild;
    for (const want of [...from.childNodes]) {
      const known = want.nodeType === 1 && want.dataset.key ? keyed.get(want.dataset.key) : null;
      if (known && known !== at) { to.insertBefore(known, at); at = known; }
      if (!at) { to.append(want); continue; }
      if (at.nodeType === want.nodeType && at.nodeName === want.nodeName) {
        if (at.nodeType === 1) { if (!at.isEqualNode(want)) morph(at, want); }
        else if (at.data !== want.data) at.data = want.data;
        at = at.nextSibling;
      } else {
        const gone = at;
        at = at.nextSibling;
        gone.replaceWith(want);
      }
    }
    while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
  };

  const pause = document.querySelector("[data-pause]");
  const every = document.getElementById("live") ? 0 : Number(document.body.dataset.refresh) * 1000;
  let paused = sessionStorage.getItem("paused") === "yes";
  let busy = false;
  let needs = document.querySelectorAll(".need").length;
  const typing = () => /^(INPUT|SELECT)$/.test(document.activeElement?.tagName || "") && document.activeElement.closest("[data-live]");

  const update = async () => {
    if (paused || busy || document.hidden || typing()) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (!answer.ok || answer.redirected) return;
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const want = next.getElementById(part.id);
        if (want) morph(part, want);
      }
      copyButtons(document);
      tick();
      const count = document.querySelectorAll(".need").length;
      if (count !== needs) say(count === 0 ? "nothing needs a person any more" : count + " things need a person");
      needs = count;
      document.body.classList.remove("stale");
    } catch { document.body.classList.add("stale"); } finally { busy = false; }
  };

  // live shows the stream of what happens. It follows the newest until somebody scrolls up, and keeps a bounded list.
  const most = 500;
  const words = (it) => {
    const parts = [];
    const add = (...list) => parts.push(...list.filter(Boolean));
    switch (it.kind) {
      case "event": add(it.type, it.key, "sequence " + it.sequence); break;
      case "attempt": add(it.type, it.key, "→ " + it.webhook, it.status || it.reason, (it.took_ms || 0) + " ms", it.attempt > 1 && "attempt " + it.attempt, it.message); break;
      case "poll": add(it.source, it.verdict, (it.records || 0) + " records", (it.created || it.updated || it.deleted) && `+${it.created || 0} ~${it.updated || 0} −${it.deleted || 0}`, it.message); break;
      case "transition": add(it.source, it.webhook && "→ " + it.webhook, it.state, it.key, it.message); break;
      default: add(it.message);
    }
    return parts.join("  ");
  };
  const addressOf = (it) => {
    if (it.event) return "/events/" + encodeURIComponent(it.event);
    if (it.kind === "transition" && it.webhook) return "/webhooks/" + encodeURIComponent(it.webhook);
    return it.source ? "/sources/" + encodeURIComponent(it.source) : "";
  };
  function live() {
    const root = document.getElementById("live");
    if (!root) return;
    const by = (id) => document.getElementById(id);
    const [list, filter, kind, failed, hold, follow, state] = ["live-list", "live-filter", "live-kind", "live-failed", "live-pause", "live-follow", "live-state"].map(by);
    for (const part of [list, root.querySelector(".live-head"), root.querySelector(".live-foot")]) part.hidden = false;
    by("live-recent").remove();
    let following = true, held = false, waiting = [];
    const wanted = (row) => (!kind.value || row.dataset.kind === kind.value) && (!failed.checked || row.classList.contains("failed"))
      && row.textContent.toLowerCase().includes(filter.value.trim().toLowerCase());
    const sift = () => { for (const row of list.children) row.hidden = !wanted(row); end(); };
    const end = () => { if (following) list.scrollTop = list.scrollHeight; };
    const show = (it) => {
      const row = document.createElement("li");
      row.dataset.kind = it.kind;
      if (it.failed) row.className = "failed";
      const part = (name, text, tag = "span") => { const e = document.createElement(tag); e.className = name; e.textContent = text; row.append(e, " "); return e; };
      const at = new Date(it.at);
      part("when", at.toTimeString().slice(0, 8), "time").dateTime = it.at;
      part("what", it.failed ? it.kind + " !" : it.kind);
      const address = addressOf(it);
      const text = part("text", words(it), address ? "a" : "span");
      if (address) text.href = address;
      row.hidden = !wanted(row);
      list.append(row);
      while (list.children.length > most) list.firstElementChild.remove();
    };
    const take = (it) => {
      if (held) { waiting.push(it); waiting = waiting.slice(-most); state.textContent = waiting.length + " more while paused"; return; }
      show(it);
      end();
    };
    let top = 0; // who scrolls up does not want to follow; a list that becomes smaller scrolls nowhere
    list.addEventListener("scroll", () => {
      const bottom = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
      if (bottom || list.scrollTop < top) following = bottom;
      top = list.scrollTop;
      follow.hidden = following;
    });
    new ResizeObserver(end).observe(list);
    follow.addEventListener("click", () => { following = true; follow.hidden = true; end(); list.focus(); });
    for (const box of [filter, kind, failed]) box.addEventListener("input", sift);
    by("live-clear").addEventListener("click", () => list.replaceChildren());
    hold.addEventListener("click", () => {
      held = !held;
      hold.setAttribute("aria-pressed", String(held));
      hold.textContent = held ? "Go on" : "Pause";
      for (const it of waiting) show(it);
      waiting = [];
      state.textContent = held ? "paused" : "connected";
      end();
    });
    const source = new EventSource(root.dataset.stream);
    source.onopen = () => { state.textContent = "connected"; };
    source.onerror = () => { state.textContent = source.readyState === EventSource.CLOSED ? "not connected: load the page again" : "not connected; it is tried again"; };
    for (const name of ["poll", "event", "attempt", "transition", "gap"]) source.addEventListener(name, (e) => take(JSON.parse(e.data)));
    source.addEventListener("end", (e) => { source.close(); state.textContent = JSON.parse(e.data); });
  }

  const showPause = () => {
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Updates are paused" : "Pause updates";
  };
  if (pause && every > 0) {
    pause.hidden = false;
    showPause();
    pause.addEventListener("click", () => {
      paused = !paused;
      sessionStorage.setItem("paused", paused ? "yes" : "no");
      showPause();
      update();
    });
    setInterval(update, Math.min(every, 5000));
    document.addEventListener("visibilitychange", update);
  }
  live();
  setInterval(tick, 1000);
  copyButtons(document);
  document.documentElement.classList.add("scripted");
})();
