// Reminders: the bell, the toasts and the inbox.

import { notify } from "./job-progress.js";
import { refreshSnapshot } from "./snapshot.js";

const TOAST_MS = 12_000;
const TURN_MS = 500; // of a tab that nobody looks at
const RECEIPT_MS = 4_000; // not all at once
const TOLD_MAX = 99;
const COUNT_MAX = 99; // the server names one more
const ADDRESS = /((?:https?:\/\/|www\.)\S*[^\s.,:;!?)'"])/i; // as `urlize` does

document.cookie = `zone=${Intl.DateTimeFormat().resolvedOptions().timeZone};path=/;samesite=lax`;

const toasts = document.querySelector("reminder-toasts");
const seen = new Set();
const shown = [];

document.addEventListener("carillon:reminder", ({ detail: reminder }) => {
  const { id, woken = "" } = reminder;
  const tag = `reminder-${id}${woken}`;
  count(id, "add");
  if (toasts && !seen.has(tag)) {
    seen.add(tag);
    show(reminder);
    claim(reminder, tag);
  }
  const item = document.getElementById(`reminder-${id}`);
  if (document.querySelector("reminder-list") && item?.dataset.state !== "unread") refreshSnapshot();
});

document.addEventListener("carillon:reminder-state", ({ detail: { ids, state } }) => {
  for (const id of ids) {
    count(id, state === "unread" ? "add" : "delete");
    for (const item of document.querySelectorAll(`[data-reminder="${id}"]`)) item.dataset.state = state;
  }
  if (!ids.length || document.querySelector("reminder-list")) refreshSnapshot();
});

/** By ids: a message may come twice. */
function count(id, change) {
  const badge = document.getElementById("unread");
  if (!badge) return;
  const ids = new Set(badge.dataset.unread.match(/\d+/g));
  // It may not know all.
  if (change === "delete" && ids.size > COUNT_MAX) return refreshSnapshot();
  ids[change](`${id}`);
  badge.dataset.unread = [...ids];
  badge.firstElementChild.textContent = ids.size > COUNT_MAX ? `${COUNT_MAX}+` : ids.size;
}

function show({ id, level, title, text, link, acknowledge }) {
  const toast = toasts.querySelector("template").content.firstElementChild.cloneNode(true);
  const part = (selector) => toast.querySelector(selector);
  Object.assign(toast.dataset, { reminder: id, level, acknowledge });
  part(".level").textContent = toasts.dataset[level];
  part("bdi").textContent = title;
  part("[name=id]").value = id;
  if (link) part("a").href = `${toasts.dataset.url}${id}/open/`;
  part(".toast-text").append(...text.split(ADDRESS).map((piece, n) => (n % 2 ? linked(piece) : piece)));
  const urgent = level === "urgent";
  toasts.querySelector(`[data-reminder="${id}"]`)?.remove();
  toasts.querySelector(`[aria-live=${urgent ? "assertive" : "polite"}]`).append(toast);
  const leave = () => setTimeout(() => (toast.matches(":hover, :focus-within") ? leave() : toast.remove()), TOAST_MS);
  if (!urgent) leave();
}

function linked(address) {
  const a = document.createElement("a");
  a.textContent = address;
  a.href = address.replace(/^www/i, "http://$&");
  return a;
}

/** One tab of a browser confirms it and notifies: the one looked at, or the first. */
function claim({ id, level, title, text }, tag) {
  const looked = document.hasFocus();
  const act = (lock) => {
    const told = (localStorage.told ?? "").split(" ");
    if (!lock || told.includes(tag)) return;
    localStorage.told = [tag, ...told.slice(0, TOLD_MAX)].join(" "); // for a tab that slept
    if (shown.push(id) === 1) setTimeout(receipt, RECEIPT_MS * Math.random());
    const { notify: levels, quiet } = document.getElementById("unread").dataset;
    if (!looked && levels.includes(level) && !isQuiet(...quiet.split("-"))) notify(title, text, tag);
    // Other tabs may see late what is stored.
    return new Promise((release) => { setTimeout(release, TOAST_MS); });
  };
  const { locks } = navigator; // https only
  setTimeout(() => (locks ? locks.request(tag, { ifAvailable: true }, act) : act(tag)), looked ? 0 : TURN_MS);
}

/** Quiet hours may go over midnight. */
function isQuiet(from, to) {
  const now = new Date().toTimeString().slice(0, 5);
  return from < to ? from <= now && now < to : to && (from <= now || now < to);
}

async function receipt(ids = new URLSearchParams(shown.splice(0).map((id) => ["id", id]))) {
  if (!await post(`${toasts.dataset.url}delivered/`, ids)) setTimeout(receipt, RECEIPT_MS, ids);
}

// Without `Accept` the answer would be the inbox, which delivers what is on it.
const post = (url, body) => fetch(url, {
  method: "POST",
  body,
  headers: { Accept: "application/json", "X-CSRFToken": toasts.dataset.token },
  keepalive: true, // though the page is left
}).catch(() => null);

addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  const toast = form.closest(".toast");
  if (!toast && !form.closest("reminder-list")) return;
  event.preventDefault();
  // Of an urgent one it is known that it was seen.
  if (!submitter.matches(".icon-button") || toast.dataset.level === "urgent") {
    const answer = await post(submitter.formAction, new FormData(form, submitter));
    toasts.firstElementChild.hidden = answer;
    if (!answer) return;
    if (answer.status !== 204) location.reload();
    refreshSnapshot();
  }
  toast?.remove();
});

for (const type of ["click", "keydown"]) addEventListener(type, ({ key, target }) => {
  const menu = document.querySelector("[name][open]");
  if (!menu || (key ? key !== "Escape" : menu.contains(target))) return;
  menu.open = false;
  if (key) menu.firstElementChild.focus();
});
