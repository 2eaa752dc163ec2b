// The live part of the console. Without it every page still works.
"use strict";
(() => {
  const topic = document.body.dataset.topic;
  const link = document.getElementById("link");
  if (!topic || !link || !window.EventSource) return;

  const patience = 5000; // the server sends a frame at least every second or so
  const waiting = new Map(); // parts that somebody is reading or operating
  let source = null;
  let watch = 0;
  let retry = 0;

  const say = (state, text) => {
    if (link.dataset.state === state) return; // a screen reader hears changes only
    link.dataset.state = state;
    link.textContent = text;
    document.body.classList.toggle("stale", state === "stale");
  };

  // busy tells whether a part holds the focus or a selection.
  const busy = (el) => {
    const active = document.activeElement;
    if (active && active !== document.body && el.contains(active)) return true;
    const sel = document.getSelection();
    return !!sel && !sel.isCollapsed && sel.rangeCount > 0 && sel.getRangeAt(0).intersectsNode(el);
  };

  // patch makes have equal to want, touching only what differs: running animations,
  // open details and scroll positions stay.
  const patch = (have, want) => {
    if (have.nodeType !== want.nodeType || have.nodeName !== want.nodeName) {
      have.replaceWith(want);
      return;
    }
    if (have.nodeType !== Node.ELEMENT_NODE) {
      if (have.nodeValue !== want.nodeValue) have.nodeValue = want.nodeValue;
      return;
    }
    for (const a of [...have.attributes]) {
      if (!want.hasAttribute(a.name) && !(a.name === "open" && have.nodeName === "DETAILS")) have.removeAttribute(a.name);
    }
    for (const a of want.attributes) {
      if (have.getAttribute(a.name) !== a.value) have.setAttribute(a.name, a.value);
    }
    children(have, want);
  };
  const children = (have, want) => {
    const fresh = [...want.childNodes];
    const old = [...have.childNodes];
    fresh.forEach((n, i) => (i < old.length ? patch(old[i], n) : have.append(n)));
    old.slice(fresh.length).forEach((n) => n.remove());
  };

  const apply = (name, html) => {
    const el = document.querySelector(`[data-live="${CSS.escape(name)}"]`);
    if (!el) return;
    if (busy(el)) {
      waiting.set(name, html);
      return;
    }
    waiting.delete(name);
    const t = document.createElement("template");
    t.innerHTML = html;
    children(el, document.importNode(t.content, true));
  };
  const settle = () => [...waiting].forEach(([name, html]) => apply(name, html));

  const stale = () => {
    say("stale", "stale");
    if (source) source.close();
    source = null;
    clearTimeout(watch);
    clearTimeout(retry);
    retry = setTimeout(open, 2000);
  };
  const alive = () => {
    say("live", "live");
    clearTimeout(watch);
    watch = setTimeout(stale, patience);
  };
  const open = () => {
    source = new EventSource("/live?page=" + encodeURIComponent(topic));
    source.addEventListener("frame", (e) => {
      alive();
      for (const [name, html] of Object.entries(JSON.parse(e.data))) apply(name, html);
      settle();
    });
    source.onerror = stale;
    clearTimeout(watch);
    watch = setTimeout(stale, patience);
  };

  // A hidden page asks for nothing.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      if (source) source.close();
      source = null;
      clearTimeout(watch);
      clearTimeout(retry);
      say("paused", "paused");
    } else if (!source) {
      open();
    }
  });
  document.addEventListener("focusout", () => setTimeout(settle, 0));
  open();
})();
