// Reminders: the bell, the toasts and the inbox.

import { notify } from "./job-progress.js";
import { refreshSnapshot } from "./snapshot.js";

const TOAST_MS = 12_000;
const TURN_MS = 500; // of a tab that nobody looks at
const RECEIPT_MS = 4_000; // not all at once
const TOLD_MAX = 99;
const COUNT_MAX = 99; // the server names one more
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
  const ids = new Set(badge.dataset.unread.match(/\d+/g));
  // There may be more than it knows.
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

/** One tab of a browser confirms it and notifies: the one that is looked at, or whichever is first. */
function claim({ id, level, title, text }, tag) {
  const looked = document.hasFocus();
  const act = (lock) => {
    const told = (localStorage.told ?? "").split(" ");
    if (!lock || told.includes(tag)) return;
    localStorage.told = [tag, ...told.slice(0, TOLD_MAX)].join(" "); // for a tab that slept
    if (shown.push(id) === 1) setTimeout(receipt, RECEIPT_MS * Math.random());
    const { notify: levels, quiet } = document.getElementById("unread").dataset;
    if (!looked && levels.includes(level) && !isQuiet(...quiet.split("-"))) notify(title, text, tag);
    // What is stored may take a while to be seen by other tabs.
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

function receipt() {
  post(`${toasts.dataset.url}delivered/`, new URLSearchParams(shown.splice(0).map((id) => ["id", id])));
}

// Without `Accept` the answer would be a page: the inbox, which delivers all that is on it.
const post = (url, body) => fetch(url, {
  method: "POST",
  body,
  headers: { Accept: "application/json", "X-CSRFToken": toasts.dataset.token },
  keepalive: true, // though a link is followed
});

function followed({ target, button }) {
  const item = button < 2 && target.closest("[data-reminder] a")?.closest("[data-reminder]");
  if (item) post(`${toasts.dataset.url}read/`, new URLSearchParams({ id: item.dataset.reminder }));
}

addEventListener("click", followed);
addEventListener("auxclick", followed);

addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  if (!form.closest("[data-reminder], reminder-list")) return;
  event.preventDefault();
  const { status } = await post(submitter.formAction, new FormData(form, submitter));
  if (status !== 204) location.reload();
  form.closest(".toast")?.remove();
  refreshSnapshot();
});
