// Reminders: the number of unread ones, a word when one arrives, and the list of them.

import { dispatch, refreshSnapshot } from "./snapshot.js";

const BADGE_MAX = 99;
const TOAST_MS = 12_000;
const TOASTS_MAX = 4;

/** Counts unread reminders by their ids, so that a message that comes twice counts once. */
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
    // The page knows the newest ids only. Whether an older one was unread, the server knows.
    else if (this.#count > this.#unread.size) refreshSnapshot();
  }
}

/** Shows reminders as they arrive; urgent ones interrupt a screen reader and stay until dismissed. */
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
    this.querySelector(urgent ? "[aria-live=assertive]" : "[aria-live=polite]").append(toast);
    if (!urgent) this.#expire(toast);
    const all = this.querySelectorAll(".toast");
    if (all.length > TOASTS_MAX) (this.querySelector("[aria-live=polite] .toast") ?? all[0]).remove();
  }

  /** Time runs only while nobody reads it or has the focus in it. */
  #expire(toast) {
    let timer = setTimeout(() => toast.remove(), TOAST_MS);
    const hold = () => clearTimeout(timer);
    const release = () => { hold(); timer = setTimeout(() => toast.remove(), TOAST_MS); };
    toast.addEventListener("pointerenter", hold);
    toast.addEventListener("focusin", hold);
    toast.addEventListener("pointerleave", release);
    toast.addEventListener("focusout", release);
  }
}

/** The list: takes in new reminders, and marks them read without leaving the page. */
class ReminderList extends HTMLElement {
  connectedCallback() {
    this.addEventListener("submit", this);
    document.addEventListener("carillon:reminder", this);
    document.addEventListener("carillon:reminder-read", this);
  }

  disconnectedCallback() {
    document.removeEventListener("carillon:reminder", this);
    document.removeEventListener("carillon:reminder-read", this);
  }

  handleEvent(event) {
    if (event.type === "submit") this.#send(event);
    else if (event.type === "carillon:reminder-read") this.#mark(event.detail.ids);
    else if (!document.getElementById(`reminder-${event.detail.id}`)) this.#take();
  }

  #take() {
    if (!this.hasAttribute("data-newest")) return;
    refreshSnapshot();
  }

  #mark(ids) {
    let changed = false;
    for (const id of ids) {
      const item = document.getElementById(`reminder-${id}`);
      if (item?.dataset.state !== "unread") continue;
      if (item.contains(document.activeElement)) item.focus({ preventScroll: true }); // its button goes
      item.dataset.state = "read";
      changed = true;
    }
    if (changed) refreshSnapshot();
  }

  async #send(event) {
    event.preventDefault();
    const form = event.target;
    const body = new FormData(form);
    try {
      const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
      if (response.status !== 204) throw new Error(response.statusText);
    } catch {
      form.submit(); // as without a script: the server says what is wrong
      return;
    }
    // The stream will say so too; who pressed the button should not wait for it.
    if (body.has("id")) dispatch("reminder-read", { ids: body.getAll("id").map(Number) });
    else refreshSnapshot();
  }
}

function isSafe(link) {
  return /^(https?:\/\/|\/(?![/\\]))/i.test(link ?? "");
}

customElements.define("unread-badge", UnreadBadge);
customElements.define("reminder-toasts", ReminderToasts);
customElements.define("reminder-list", ReminderList);
