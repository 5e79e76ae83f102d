// Reminders: how many are unread, a word when one arrives, and the inbox.

import { refreshSnapshot } from "./snapshot.js";

const BADGE_MAX = 99;
const TOAST_MS = 12_000;
const TURN_MS = 500; // a tab that somebody looks at comes first
const HOLD_MS = 60_000; // no tab is later than that
const RECEIPT_MS = 1_000; // one for those of a moment
const ADDRESS = /(https?:\/\/[^\s<>"]*[^\s<>".,:;!?')])/i;

document.cookie = `zone=${Intl.DateTimeFormat().resolvedOptions().timeZone};path=/;samesite=lax`;

const toasts = document.querySelector("reminder-toasts");
const seen = new Set();
let shown = [];

document.addEventListener("carillon:reminder", ({ detail: reminder }) => {
  const { id, woken = "" } = reminder;
  count(id, "add");
  if (toasts && !seen.has(id + woken)) {
    show(reminder);
    claim(reminder, `reminder-${id}${woken}`);
  }
  seen.add(id + woken);
  const item = document.getElementById(`reminder-${id}`);
  if (document.querySelector("[data-newest]") && item?.dataset.state !== "unread") refreshSnapshot();
});

document.addEventListener("carillon:reminder-state", ({ detail: { ids, state } }) => {
  for (const id of ids) {
    count(id, state === "unread" ? "add" : "delete");
    for (const item of document.querySelectorAll(`[data-reminder="${Number(id)}"]`)) {
      if (item.contains(document.activeElement)) item.focus({ preventScroll: true }); // its button goes
      item.dataset.state = state;
      if (state !== "unread" && toasts.contains(item)) item.remove();
    }
  }
  if (!ids.length || document.querySelector("reminder-list")) refreshSnapshot();
});

/** Count by ids, so that a message that comes twice counts once. */
function count(id, change) {
  const badge = document.getElementById("unread");
  if (!badge) return;
  const ids = new Set(badge.dataset.unread.split(",").filter(Boolean));
  const before = ids.size;
  ids[change](String(id));
  const all = badge.dataset.count - before + ids.size;
  // The page knows the newest ids only.
  if (change === "delete" && ids.size === before && all > before) refreshSnapshot();
  Object.assign(badge.dataset, { unread: [...ids], count: all });
  badge.hidden = !all;
  badge.firstElementChild.textContent = all > BADGE_MAX ? `${BADGE_MAX}+` : all;
}

/** Show a reminder; an urgent one stays until it is dismissed. */
function show({ id, level, title, text, link, acknowledge }) {
  const toast = toasts.querySelector("template").content.firstElementChild.cloneNode(true);
  const part = (selector) => toast.querySelector(selector);
  Object.assign(toast.dataset, { reminder: id, level, acknowledge });
  part(".level").textContent = toasts.dataset[level] ?? "";
  part("bdi").textContent = title;
  part("[name=id]").value = id;
  part("[type=button]").onclick = () => toast.remove();
  if (/^(https?:\/\/|\/(?![/\\]))/i.test(link)) part("a").href = link;
  part(".toast-text").append(...text.split(ADDRESS).map((piece, n) => {
    if (n % 2 === 0) return piece;
    const a = document.createElement("a");
    a.href = a.textContent = piece;
    return a;
  }));
  const urgent = level === "urgent";
  toasts.querySelector(`[aria-live=${urgent ? "assertive" : "polite"}]`).append(toast);
  if (!urgent) setInterval(() => { if (!toast.matches(":hover, :focus-within")) toast.remove(); }, TOAST_MS);
}

/** In one tab of a browser: say that it was shown, and tell of it where nobody looks. */
function claim({ id, level, title, text }, tag) {
  const { notify, quiet } = document.getElementById("unread").dataset;
  const looked = document.hasFocus();
  const act = (lock) => {
    if (!lock) return;
    if (shown.push(["id", id]) === 1) setTimeout(() => post("delivered/", shown.splice(0)), RECEIPT_MS);
    const [from, to] = quiet.split("-");
    const now = new Date().toTimeString().slice(0, 5);
    try {
      // Of the three, two hold in quiet hours.
      if (!looked && notify.includes(level) && (now >= from) + (now < to) + (from > to) < 2) new Notification(title, { body: text, tag }).onclick = () => focus();
    } catch {} // phones have none for pages
    return new Promise((release) => { setTimeout(release, HOLD_MS); });
  };
  const { locks } = navigator; // none without https
  setTimeout(() => (locks ? locks.request(tag, { ifAvailable: true }, act) : act(1)), looked ? 0 : TURN_MS);
}

function post(what, ids) {
  const { url, token } = toasts.dataset;
  fetch(url + what, { method: "POST", body: new URLSearchParams(ids), headers: { "X-CSRFToken": token }, keepalive: true });
}

// To follow its link is to read it.
window.onclick = window.onauxclick = ({ target, button }) => {
  const item = button < 2 && target.closest("[data-reminder] a")?.closest("[data-reminder]");
  if (item) post("read/", [["id", item.dataset.reminder]]);
};

document.addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  if (!form.closest("[data-reminder], reminder-list")) return;
  event.preventDefault();
  const { status } = await fetch(submitter.formAction, { method: "POST", body: new FormData(form, submitter), headers: { Accept: "application/json" } });
  if (status !== 204) location.reload(); // the server says what is wrong
  form.closest(".toast")?.remove();
  refreshSnapshot();
});
