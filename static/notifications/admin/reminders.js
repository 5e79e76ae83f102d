// A reminder's page in the admin: what it would reach and when, as one types; its report, as it changes.

import { refreshSnapshot } from "../js/snapshot.js";

const PAUSE_MS = 400; // after the last key

const form = document.getElementById("reminder_form");
const audience = document.getElementById("reminder-audience");
const when = document.getElementById("reminder-when");

if (audience) {
  const text = (name, value) => { audience.querySelector(`[data-part=${name}]`).textContent = value; };
  let timer, request;

  const preview = async () => {
    request?.abort();
    request = new AbortController();
    const data = new FormData(form);
    for (const name of ["title", "text", "link"]) data.delete(name); // they change neither
    try {
      const response = await fetch(audience.dataset.url, { method: "POST", body: data, signal: request.signal });
      if (!response.ok) throw new Error(response.statusText);
      const found = await response.json();
      text("people", found.people);
      text("names", found.names.length ? `: ${found.names.join(", ")}` : "");
      text("rest", found.rest);
      when.textContent = found.when || Object.values(found.errors).flat().join(" ");
      when.toggleAttribute("data-wrong", !found.when);
    } catch (error) {
      if (error.name !== "AbortError") {
        text("people", "–");
        text("names", "");
        text("rest", audience.dataset.failed);
      }
    }
  };

  /** Show the fields and buttons that go with what is chosen. */
  const arrange = () => {
    const data = new FormData(form);
    const at = data.get("when") !== "now";
    const recurring = data.get("when") === "recurring";
    const repeats = recurring && data.get("repeats");
    const shown = {
      local_at: at,
      zone: at,
      send_if_past: data.get("when") === "at",
      repeats: recurring,
      every: recurring && repeats !== "rule",
      until: recurring && repeats !== "rule",
      days: repeats === "weekly",
      month_by: repeats === "monthly",
      rule: repeats === "rule",
    };
    for (const name in shown) form.querySelector(`.field-${name}`).hidden = !shown[name];
    for (const button of form.querySelectorAll("[data-when]")) {
      button.hidden = !button.dataset.when.split(" ").includes(data.get("when"));
    }
  };

  const changed = () => {
    arrange();
    clearTimeout(timer);
    timer = setTimeout(preview, PAUSE_MS);
  };
  form.addEventListener("input", changed);
  // What Django's own fields change, they tell through jQuery alone.
  globalThis.django?.jQuery(form).on("change", changed);
  arrange();
}

const OVERTAKEN_SECONDS = 10;
const moment = (text) => Date.parse(text) / 1000;

document.addEventListener("carillon:reminder-report", ({ detail: report }) => {
  const element = document.getElementById("reminder-report");
  if (!element) return;
  // Two may overtake each other; one that is much older was told after a clock was put back.
  const age = Number(element.dataset.at) - moment(report.at);
  if (age > 0 && age < OVERTAKEN_SECONDS) return;
  element.dataset.at = moment(report.at);
  let isNews = false;
  for (const place of element.querySelectorAll("[data-count]")) {
    const count = String(report[place.dataset.count]);
    isNews ||= place.textContent !== count && ["acknowledged", "addressed"].includes(place.dataset.count);
    place.textContent = count;
  }
  if (isNews) refreshSnapshot(); // who it is
});
