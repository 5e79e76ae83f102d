// Reminders: how many are unread, a word when one arrives, and the list.

import { dispatch, refreshSnapshot } from "./snapshot.js";

const BADGE_MAX = 99;
const TOAST_MS = 12_000;
const TOASTS_MAX = 4;

/** Counts by ids, so that a message that comes twice counts once. */
class UnreadBadge extends HTMLElement {
  #unread = new Set();
  #count = 0;

  connectedCallback() {
    this.#unread = new Set((this.dataset.unread ?? "").split(",").filter(Boolean).map(Number));
    this.#count = Number(this.dataset.count);
    document.addEventListener("carillon:reminder", this);
    document.addEventListener("carillon:reminder-read", this);
  }

  disconnectedCallback() {
    document.removeEventListener("carillon:reminder", this);
    document.removeEventListener("carillon:reminder-read", this);
  }

  handleEvent({ type, detail }) {
    if (type === "carillon:reminder") this.#add(detail.id);
    else for (const id of detail.ids) this.#remove(id);
    this.dataset.count = this.#count;
    this.hidden = this.#count === 0;
    this.querySelector("[data-part]").textContent = this.#count > BADGE_MAX ? `${BADGE_MAX}+` : this.#count;
  }

  #add(id) {
    if (this.#unread.has(id)) return;
    this.#unread.add(id);
    this.#count += 1;
  }

  #remove(id) {
    if (this.#unread.delete(id)) this.#count -= 1;
    // The page knows the newest ids only.
    else if (this.#count > this.#unread.size) refreshSnapshot();
  }
}

/** Shows reminders as they arrive; urgent ones stay until dismissed. */
class ReminderToasts extends HTMLElement {
  #seen = new Set();

  connectedCallback() {
    document.addEventListener("carillon:reminder", (event) => this.#add(event.detail));
    document.addEventListener("carillon:reminder-read", (event) => {
      for (const id of event.detail.ids) this.querySelector(`[data-toast="${Number(id)}"]`)?.remove();
    });
    this.addEventListener("click", (event) => {
      if (event.target.closest("button")) event.target.closest(".toast").remove();
    });
  }

  #add(reminder) {
    if (this.#seen.has(reminder.id)) return;
    this.#seen.add(reminder.id);
    const toast = this.querySelector("template").content.firstElementChild.cloneNode(true);
    toast.dataset.toast = reminder.id;
    toast.dataset.level = reminder.level;
    toast.querySelector(".level").textContent = this.dataset[reminder.level] ?? "";
    toast.querySelector("bdi").textContent = reminder.title;
    toast.querySelector(".toast-text").textContent = reminder.text;
    const link = toast.querySelector("a");
    if (isSafe(reminder.link)) link.href = reminder.link;
    else link.remove();
    const urgent = reminder.level === "urgent";
    this.querySelector(`[aria-live=${urgent ? "assertive" : "polite"}]`).append(toast);
    if (!urgent) this.#expire(toast);
    const all = this.querySelectorAll(".toast");
    if (all.length > TOASTS_MAX) (this.querySelector("[aria-live=polite] .toast") ?? all[0]).remove();
  }

  /** No time passes while somebody reads it or has the focus in it. */
  #expire(toast) {
    let timer = 0;
    const hold = () => clearTimeout(timer);
    const release = () => { hold(); timer = setTimeout(() => toast.remove(), TOAST_MS); };
    for (const type of ["pointerenter", "focusin"]) toast.addEventListener(type, hold);
    for (const type of ["pointerleave", "focusout"]) toast.addEventListener(type, release);
    release();
  }
}

// The list takes in new ones, and marks them read without leaving the page.

document.addEventListener("carillon:reminder", ({ detail: { id } }) => {
  if (document.querySelector("[data-newest]") && !document.getElementById(`reminder-${id}`)) refreshSnapshot();
});

document.addEventListener("carillon:reminder-read", ({ detail: { ids } }) => {
  for (const id of ids) {
    const item = document.getElementById(`reminder-${id}`);
    if (item?.dataset.state !== "unread") continue;
    if (item.contains(document.activeElement)) item.focus({ preventScroll: true }); // its button goes
    item.dataset.state = "read";
    refreshSnapshot();
  }
});

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

customElements.define("unread-badge", UnreadBadge);
customElements.define("reminder-toasts", ReminderToasts);
