// The state that the server renders, fetched anew and put in place without a reload.
//
// A snapshot may be older than messages that arrive while it is fetched. These are dispatched once
// more onto it, so every listener must take the same message twice without harm.

import { showLocalTimes } from "./local-time.js";

const SETTLE_MS = 150; // one fetch for the messages of one moment
const PAUSE_MS = 1_000; // between fetches, however many messages ask
const RETRY_LAST_MS = 60_000;

let wanted = false;
let running = null;
let late = null;

/** Hand a message on, as `carillon:<type>` on the document. */
export function dispatch(type, detail) {
  late?.push([type, detail]);
  document.dispatchEvent(new CustomEvent(`carillon:${type}`, { detail }));
}

/**
 * Bring every `[data-snapshot]` element up to date; resolves when that is done. Calls join: one fetch
 * at a time, and one more for those that came during it.
 */
export function refreshSnapshot() {
  wanted = true;
  running ??= run().finally(() => { running = null; });
  return running;
}

async function run() {
  let pause = SETTLE_MS;
  while (wanted) {
    await sleep(pause);
    wanted = false;
    late = [];
    try {
      const fresh = await fetchPage();
      if (fresh) replace(fresh);
      const missed = late;
      late = null;
      if (fresh) for (const [type, detail] of missed) dispatch(type, detail);
      pause = PAUSE_MS;
    } catch {
      // No answer, or one of a server in trouble: the page is still behind.
      wanted = true;
      late = null;
      pause = Math.min(pause * 2, RETRY_LAST_MS) * (0.75 + Math.random() / 2);
    }
  }
}

async function fetchPage() {
  const response = await fetch(location.href, { cache: "no-store" });
  if (response.status >= 500) throw new Error(response.statusText);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  // An error (the job is gone), the login or another's page: the reader gets it whole.
  if (!response.ok || user(fresh) !== user(document)) {
    location.reload();
    return null;
  }
  showLocalTimes(fresh);
  return fresh;
}

const user = (page) => page.querySelector("[data-user]")?.dataset.user;

function replace(fresh) {
  for (const old of document.querySelectorAll("[data-snapshot]")) {
    const next = fresh.getElementById(old.id);
    if (!next || old.isEqualNode(next)) continue;
    for (const one of next.querySelectorAll("details[id]")) one.open = document.getElementById(one.id)?.open ?? one.open;
    const restoreFocus = old.contains(document.activeElement) ? focusIn(old) : null;
    old.replaceWith(document.adoptNode(next));
    restoreFocus?.();
  }
}

/** Return what puts the focus where it was, or on the nearest thing still there that takes it. */
function focusIn(old) {
  const selectors = [];
  for (let element = document.activeElement; element; element = element.parentElement) {
    const { id } = element;
    const href = element.getAttribute("href");
    if (id) selectors.push(`#${CSS.escape(id)}`);
    else if (href) selectors.push(`#${old.id} [href="${CSS.escape(href)}"]`);
  }
  return () => selectors.some((selector) => {
    const element = document.querySelector(selector);
    element?.focus({ preventScroll: true });
    return element && element === document.activeElement;
  });
}

function sleep(ms) {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}
