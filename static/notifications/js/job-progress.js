// A job's bar and figures, kept current.

import { refreshSnapshot } from "./snapshot.js";

const CALM_MS = 1_000; // between two opinions of the time left
const POLL_MS = 15_000; // for whom no message comes
const UNIT_STEP = 1024; // as in Django

const language = document.documentElement.lang || undefined;
export const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

// See templates/jobs/_texts.html.
const texts = document.getElementById("job-texts").dataset;
const sizes = texts.sizes.split(" ");

export const fill = (name, values) => texts[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);

function quantity(value, unit) {
  if (unit !== "B") return whole.format(value) + (unit && `\u00a0${unit}`);
  let step = 0;
  for (; value >= UNIT_STEP && step < sizes.length - 1; step += 1) value /= UNIT_STEP;
  return `${(step ? tenth : whole).format(value)}\u00a0${sizes[step]}`;
}

function timeLeft(seconds) {
  const say = (name, unit, times = 1) => fill(name, { n: Math.round(seconds / unit) * times || 1 });
  if (seconds < 90) return seconds < 10 ? say("leftSeconds", 1) : say("leftSeconds", 5, 5);
  return seconds < 5400 ? say("leftMinutes", 60) : say("leftHours", 3600);
}

/** Rounded down, as the server does: 100 % is done. */
export const percent = (value) => (value === null ? "" : `${Math.floor(value * 100)}%`);

const running = new Set(); // whose end is still to be told
const title = document.title;

customElements.define("job-progress", class extends HTMLElement {
  #calm = 0;
  #attempt = 0;
  #most = 0; // of this attempt: two who say it may overtake each other

  connectedCallback() {
    this.#tell();
  }

  /** Show a message, unless it is older than what is shown. */
  take(job) {
    const { version, tick, state } = this.dataset;
    if (job.version < version || (job.version === Number(version) && job.tick <= tick)) return;
    Object.assign(this.dataset, { version: job.version, tick: job.tick, state: job.state });
    this.toggleAttribute("data-finished", Boolean(job.finished));
    this.#show(job);
    this.#tell();
    if (job.state !== state && !("quiet" in this.dataset)) refreshSnapshot();
  }

  #show(job) {
    const { current, total, unit } = job;
    const known = total > 0;
    let value = job.fraction ?? (known ? Math.min(current / total, 1) : null);
    if (job.attempts !== this.#attempt) [this.#attempt, this.#most] = [job.attempts, 0];
    if (value !== null) value = this.#most = Math.max(value, this.#most);
    const done = quantity(current, known && unit !== "B" ? "" : unit);
    const amount = known ? fill("amount", { done, total: quantity(total, unit) }) : current ? done : "";
    const bar = this.querySelector("progress");
    if (value === null) bar.removeAttribute("value");
    else bar.value = value;
    bar.setAttribute("aria-valuetext", amount || percent(value));
    this.#say("state", texts[job.state]);
    this.#say("message", job.message);
    this.#say("amount", amount);
    this.#say("percent", percent(value));
    this.#say("rate", job.rate ? fill("rate", { rate: quantity(job.rate, unit) }) : "");
    if (job.members) this.#say("members", fill("members", job.members) + (job.members.failed ? fill("membersFailed", job.members) : ""));
    if (job.eta === null) this.#say("left", "");
    else if (Date.now() > this.#calm) {
      this.#calm = Date.now() + CALM_MS;
      this.#say("left", timeLeft(job.eta));
    }
    this.querySelector("[data-part=steps]")?.replaceChildren(...(job.steps ?? []).map(step));
  }

  #say(name, text) {
    const part = this.querySelector(`[data-part=${name}]`);
    if (part.textContent !== text) part.textContent = text;
  }

  /** Say an end once, whatever brought it. */
  #tell() {
    const { jobId, title: name, state, quiet, finished } = this.dataset;
    if (quiet !== undefined) return; // a part
    if (finished === undefined) running.add(jobId);
    else if (running.delete(jobId)) {
      const word = texts[state];
      document.getElementById("announcer").textContent = `${name}: ${word}`;
      const own = title.startsWith(name);
      document.title = `${word}: ${own ? "" : `${name} · `}${title}`;
      if (!own) addEventListener("focus", () => { document.title = title; }, { once: true });
      if (document.hidden) notify(name, word, jobId);
    }
  }
});

function step({ title, state, fraction }) {
  const item = document.createElement("li");
  item.dataset.state = state;
  item.textContent = title;
  if (state === "running") {
    item.ariaCurrent = "step";
    item.append(` ${percent(fraction)}`);
  }
  return item;
}

export function notify(title, body, tag) {
  try {
    new Notification(title, { body, tag }).onclick = () => focus();
  } catch {} // phones have none
}

customElements.define("may-notify", class extends HTMLElement {
  connectedCallback() {
    this.dataset.state = globalThis.Notification?.permission;
    this.hidden = this.dataset.state !== "default";
    this.onclick = async () => { await Notification.requestPermission(); this.connectedCallback(); };
  }
});

const asked = new Set();

function heard({ detail: job }) {
  const shown = document.querySelectorAll(`[data-job-id="${job.id}"]`);
  for (const element of shown) element.take(job);
  const once = job.id + job.state; // not all are on this list
  if (shown.length || asked.has(once) || !document.querySelector("job-list")) return;
  asked.add(once);
  refreshSnapshot();
}

document.addEventListener("carillon:job", heard);
document.addEventListener("carillon:member", heard);

setInterval(() => {
  if (document.hidden ? running.size : document.querySelector("[data-poll]")) refreshSnapshot();
}, POLL_MS);
