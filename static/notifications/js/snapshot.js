// Fetches `[data-snapshot]` elements anew.

import { showLocalTimes } from "./local-time.js";

const SETTLE_MS = 150; // for all of a moment
const PAUSE_MS = 1_000;
const PAUSE_LAST_MS = 60_000;

let wanted, running, late;

export const longer = (pause) => Math.min(pause * 2, PAUSE_LAST_MS) * (0.5 + Math.random() / 2);

// Again after a fetch that may lack it.
export function dispatch(type, detail) {
  late?.push([type, detail]);
  document.dispatchEvent(new CustomEvent(`carillon:${type}`, { detail }));
}

export async function refreshSnapshot() {
  wanted = true;
  if (running) return;
  running = true;
  let pause = SETTLE_MS;
  while (wanted) {
    await new Promise((resolve) => { setTimeout(resolve, pause); });
    wanted = false;
    late = [];
    try {
      const response = await fetch(location, { cache: "no-store" });
      if (response.status >= 500) throw response;
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      // Another page.
      if (!response.ok || user(fresh) !== user(document)) location.reload();
      else replace(fresh);
      pause = PAUSE_MS;
    } catch {
      wanted = true;
      pause = longer(pause);
    }
    const missed = late;
    late = null;
    for (const message of missed) dispatch(...message);
  }
  running = false;
}

const user = (page) => page.querySelector("[data-user]")?.dataset.user;

function replace(fresh) {
  showLocalTimes(fresh);
  for (const old of document.querySelectorAll("[data-snapshot]")) {
    const next = fresh.getElementById(old.id);
    if (!next || old.isEqualNode(next)) continue;
    for (const one of next.querySelectorAll("details[id]")) one.open = document.getElementById(one.id)?.open ?? one.open;
    // The focus stays, or goes to the nearest.
    const path = [];
    for (let at = old.contains(document.activeElement) && document.activeElement; at; at = at.parentElement) {
      path.push(at.id ? `#${CSS.escape(at.id)}` : `#${old.id} [href="${CSS.escape(at.getAttribute("href"))}"]`);
    }
    old.replaceWith(next);
    path.some((selector) => {
      document.querySelector(selector)?.focus({ preventScroll: true });
      return document.activeElement !== document.body;
    });
  }
}
