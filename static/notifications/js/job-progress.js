// A job's bar and figures, kept current. The server renders them whole; this changes them in place.

import { refreshSnapshot } from "./snapshot.js";

const CALM_MS = 1_000; // how often "time left" may change its mind
const UNIT_STEP = 1024; // as Django's filesizeformat

const language = document.documentElement.lang || undefined;
const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(language, { style: "percent" });

// Words from the server, in its language: see templates/jobs/_texts.html.
const texts = document.getElementById("job-texts")?.dataset ?? {};
const sizes = (texts.sizes ?? "bytes KB MB GB TB PB").split(" ");

const fill = (text, values) => (text ?? "").replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

function quantity(value, unit) {
  if (unit !== "B") return unit ? `${whole.format(value)}\u00a0${unit}` : whole.format(value);
  let step = 0;
  for (; value >= UNIT_STEP && step < sizes.length - 1; step += 1) value /= UNIT_STEP;
  return `${(step ? tenth : whole).format(value)}\u00a0${sizes[step]}`;
}

function timeLeft(seconds) {
  if (seconds < 10) return fill(texts.leftSeconds, { n: Math.max(1, Math.round(seconds)) });
  if (seconds < 90) return fill(texts.leftSeconds, { n: Math.round(seconds / 5) * 5 });
  if (seconds < 5400) return fill(texts.leftMinutes, { n: Math.round(seconds / 60) });
  return fill(texts.leftHours, { n: Math.round(seconds / 3600) });
}

class JobProgress extends HTMLElement {
  #leftShown = -Infinity;

  connectedCallback() {
    document.addEventListener("carillon:job", this);
  }

  disconnectedCallback() {
    document.removeEventListener("carillon:job", this);
  }

  handleEvent({ detail: job }) {
    if (job.id !== this.dataset.jobId || !this.#isNewer(job)) return;
    const ended = job.finished && !this.hasAttribute("data-finished");
    this.dataset.version = job.version;
    this.dataset.tick = job.tick;
    this.dataset.state = job.state;
    this.toggleAttribute("data-finished", Boolean(job.finished));
    this.#show(job);
    if (ended) this.#end(job);
  }

  #isNewer(job) {
    const { version, tick } = this.dataset;
    return job.version > version || (job.version === Number(version) && job.tick > tick);
  }

  #show(job) {
    const bar = this.querySelector("progress");
    const known = job.total > 0;
    const done = quantity(job.current, known && job.unit !== "B" ? "" : job.unit);
    const share = known ? Math.min(job.current / job.total, 1) : null;
    const amount = known ? fill(texts.amount, { done, total: quantity(job.total, job.unit) }) : done;
    if (bar) {
      if (known) {
        bar.max = job.total;
        bar.value = job.current;
      } else {
        bar.removeAttribute("value");
      }
      bar.setAttribute("aria-valuetext", amount);
    }
    this.#say("state", texts[job.state] ?? job.state);
    this.#say("message", job.message);
    this.#say("error", job.error);
    this.#say("amount", amount);
    this.#say("percent", known ? percent.format(Math.floor(share * 100) / 100) : "");
    this.#say("rate", job.rate ? fill(texts.rate, { rate: quantity(job.rate, job.unit) }) : "");
    const now = performance.now();
    if (job.eta === null || now - this.#leftShown >= CALM_MS) {
      this.#leftShown = job.eta === null ? -Infinity : now;
      this.#say("left", job.eta === null ? "" : timeLeft(job.eta));
    }
  }

  #say(name, text) {
    const part = this.querySelector(`[data-part="${name}"]`);
    if (part && part.textContent !== text) part.textContent = text;
  }

  /** Tell those who don't see it, and fetch what only the server renders: the result, the times. */
  #end(job) {
    const announcer = document.getElementById("announcer");
    if (announcer) announcer.textContent = `${job.title}: ${texts[job.state] ?? job.state}`;
    refreshSnapshot();
  }
}

/** The newest jobs: asks for a fresh list when a job appears that it lacks. */
class JobList extends HTMLElement {
  static #asked = new Set(); // outlives the element, which each snapshot replaces

  connectedCallback() {
    document.addEventListener("carillon:job", this);
  }

  disconnectedCallback() {
    document.removeEventListener("carillon:job", this);
  }

  handleEvent({ detail: job }) {
    if (JobList.#asked.has(job.id) || this.querySelector(`[data-job-id="${CSS.escape(job.id)}"]`)) return;
    JobList.#asked.add(job.id); // once: it may be too old for this list
    refreshSnapshot();
  }
}

customElements.define("job-progress", JobProgress);
customElements.define("job-list", JobList);
