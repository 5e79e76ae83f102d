// Reminders: the bell, the toasts and the inbox.

import { notify } from "./job-progress.js";
import { refreshSnapshot } from "./snapshot.js";

const TOAST_MS = 12_000;
const TURN_MS = 500; // of a tab that nobody looks at
const RECEIPT_MS = 4_000; // not all at once
const ADDRESS = /(https?:\/\/\S*[^\s.,:;!?)'"])/i;

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
    for (const item of document.querySelectorAll(`[data-reminder="${id}"]`)) {
      item.dataset.state = state;
    }
  }
  if (!ids.length || document.querySelector("reminder-list")) refreshSnapshot();
});

/** By ids: a message may come twice. */
function count(id, change) {
  const badge = document.getElementById("unread");
  if (!badge) return;
  const { dataset } = badge;
  const ids = new Set(dataset.unread.match(/\d+/g));
  const known = ids.size;
  ids[change](`${id}`);
  dataset.unread = [...ids];
  dataset.count -= known - ids.size;
  // It knows the newest only.
  if (change === "delete" && ids.size === known && dataset.count > known) refreshSnapshot();
  badge.hidden = dataset.count < 1;
  badge.firstElementChild.textContent = dataset.count > 99 ? "99+" : dataset.count;
}

function show({ id, level, title, text, link, acknowledge }) {
  const toast = toasts.querySelector("template").content.firstElementChild.cloneNode(true);
  const part = (selector) => toast.querySelector(selector);
  Object.assign(toast.dataset, { reminder: id, level, acknowledge });
  part(".level").textContent = toasts.dataset[level];
  part("bdi").textContent = title;
  part("[name=id]").value = id;
  part("[type=button]").onclick = () => toast.remove();
  if (/^(\/|https?:)/i.test(link)) part("a").href = link;
  part(".toast-text").append(...text.split(ADDRESS).map((piece, n) => {
    if (n % 2 === 0) return piece;
    const a = document.createElement("a");
    a.href = a.textContent = piece;
    return a;
  }));
  const urgent = level === "urgent";
  toasts.children[Number(urgent)].append(toast);
  const leave = () => setTimeout(() => (toast.matches(":hover, :focus-within") ? leave() : toast.remove()), TOAST_MS);
  if (!urgent) leave();
}

/** One tab confirms it, and notifies. */
function claim({ id, level, title, text }, tag) {
  const looked = document.hasFocus();
  const act = (lock) => {
    if (!lock) return;
    if (shown.push(id) === 1) setTimeout(() => post("delivered/", shown.splice(0)), RECEIPT_MS * Math.random());
    const { dataset } = document.getElementById("unread");
    const [from, to] = dataset.quiet.split("-");
    const now = new Date().toTimeString().slice(0, 5);
    // Quiet: two of three.
    if (!looked && dataset.notify.includes(level) && (now >= from) + (now < to) + (from > to) < 2) notify(title, text, tag);
    return new Promise((release) => { setTimeout(release, TOAST_MS); });
  };
  const { locks } = navigator; // https only
  setTimeout(() => (locks ? locks.request(tag, { ifAvailable: true }, act) : act(tag)), looked ? 0 : TURN_MS);
}

function post(what, ids) {
  const { url, token } = toasts.dataset;
  const body = new URLSearchParams(`id=${ids.join("&id=")}`);
  fetch(url + what, { method: "POST", body, headers: { "X-CSRFToken": token }, keepalive: true });
}

function followed({ target, button }) {
  const item = button < 2 && target.closest("[data-reminder] a")?.closest("[data-reminder]");
  if (item) post("read/", [item.dataset.reminder]);
}

addEventListener("click", followed);
addEventListener("auxclick", followed);

addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  if (!form.closest("[data-reminder], reminder-list")) return;
  event.preventDefault();
  const body = new FormData(form, submitter);
  const { status } = await fetch(submitter.formAction, { method: "POST", body, headers: { Accept: "application/json" } });
  if (status !== 204) location.reload();
  form.closest(".toast")?.remove();
  refreshSnapshot();
});
