// Reminders: how many are unread, a word when one arrives, and the list.

import { dispatch, refreshSnapshot } from "./snapshot.js";

const BADGE_MAX = 99;
const TOAST_MS = 12_000;
const TOASTS_MAX = 4;

const toasts = document.querySelector("reminder-toasts");
const seen = new Set();

document.addEventListener("carillon:reminder", ({ detail: reminder }) => {
  const { id } = reminder;
  count(id, "add");
  if (toasts && !seen.has(id)) show(reminder);
  seen.add(id);
  if (document.querySelector("[data-newest]") && !document.getElementById(`reminder-${id}`)) refreshSnapshot();
});

document.addEventListener("carillon:reminder-read", ({ detail: { ids } }) => {
  for (const id of ids) {
    count(id, "delete");
    document.querySelector(`[data-toast="${Number(id)}"]`)?.remove();
    const item = document.getElementById(`reminder-${id}`);
    if (item?.dataset.state !== "unread") continue;
    if (item.contains(document.activeElement)) item.focus({ preventScroll: true }); // its button goes
    item.dataset.state = "read";
    refreshSnapshot();
  }
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
function show({ id, level, title, text, link }) {
  const toast = toasts.querySelector("template").content.firstElementChild.cloneNode(true);
  Object.assign(toast.dataset, { toast: id, level });
  toast.querySelector(".level").textContent = toasts.dataset[level] ?? "";
  toast.querySelector("bdi").textContent = title;
  toast.querySelector(".toast-text").textContent = text;
  toast.querySelector("button").onclick = () => toast.remove();
  const open = toast.querySelector("a");
  if (isSafe(link)) open.href = link;
  else open.remove();
  const urgent = level === "urgent";
  toasts.querySelector(`[aria-live=${urgent ? "assertive" : "polite"}]`).append(toast);
  if (!urgent) expire(toast);
  const all = toasts.querySelectorAll(".toast");
  if (all.length > TOASTS_MAX) (toasts.querySelector("[aria-live=polite] .toast") ?? all[0]).remove();
}

/** No time passes while somebody reads it or has the focus in it. */
function expire(toast) {
  let timer;
  const hold = () => clearTimeout(timer);
  const release = () => { hold(); timer = setTimeout(() => toast.remove(), TOAST_MS); };
  toast.onpointerenter = hold;
  toast.onpointerleave = release;
  toast.addEventListener("focusin", hold);
  toast.addEventListener("focusout", release);
  release();
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.closest("reminder-list")) return;
  event.preventDefault();
  const body = new FormData(form);
  try {
    const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    if (response.status !== 204) throw new Error(response.statusText);
  } catch {
    form.submit(); // as without a script: the server says what is wrong
    return;
  }
  // The stream says so too, later.
  if (body.has("id")) dispatch("reminder-read", { ids: body.getAll("id").map(Number) });
  else refreshSnapshot();
});

function isSafe(link) {
  return /^(https?:\/\/|\/(?![/\\]))/i.test(link ?? "");
}
