// The page's events, from the one EventSource of a browser's tabs: see docs/architecture.md.

import { dispatch, refreshSnapshot } from "./snapshot.js";
import { join } from "./tabs.js";

const SILENCE_MS = 50_000; // two keep-alives, and some
const RETRY_FIRST_MS = 1_000;
const RETRY_LAST_MS = 60_000;
const SPREAD_MS = 2_000; // all pages are back at once
const ROLL_MS = 50;

const root = document.documentElement;
const page = document.querySelector("[data-stream-url]")?.dataset;

// Ids have 16 digits: as text they compare like numbers.
const parse = (places) => Object.fromEntries(places.split(",").map((place) => place.split(":")));

let cursor, tabs;
let leads, source, timer, wanted, reached; // the leader's
let refusals = 0;

// What tabs tell each other and themselves.
const on = {
  roll() { tell("need", cursor); },
  need(places) {
    if (!leads) return;
    if (!wanted) roll();
    for (const channel in places) if (!(wanted[channel] < places[channel])) wanted[channel] = places[channel];
  },
  state(detail) {
    root.dataset.connection = detail;
    dispatch("connection", detail);
  },
  message(channel, before, id, type, text) {
    const last = cursor[channel];
    if (!last || (id > before && id <= last)) return;
    if (before > last) return on.roll(); // a gap
    if (id > last) cursor[channel] = id;
    dispatch(type, JSON.parse(text));
  },
  stale(places) {
    Object.assign(cursor, places);
    refreshSnapshot();
  },
};

function tell(what, ...rest) {
  tabs?.post(what, ...rest);
  on[what](...rest);
}

function enter() {
  leave();
  if (navigator.locks) {
    tabs = join(page.user + page.streamTypes + page.streamUrl, on, lead, enter);
    on.roll();
  } else lead();
}

function leave() {
  tabs?.leave();
  tabs = leads = null;
  close();
  on.state("connecting");
}

function lead() {
  leads = true;
  roll();
}

function roll() {
  close();
  wanted = {};
  timer = setTimeout(open, ROLL_MS);
  tell("roll");
}

function open() {
  reached = wanted;
  wanted = null;
  const places = encodeURIComponent(Object.entries(reached).map((place) => place.join(":")));
  source = new EventSource(`${page.streamUrl}?lastEventId=${places}&channel=${Object.keys(reached).join("&channel=")}`);
  const hear = (type, act) => source.addEventListener(type, (event) => {
    later(SILENCE_MS);
    act(event);
  });
  hear("stream-open", () => tell("state", "live"));
  hear("stream-live", () => {
    tell("state", "live");
    setTimeout(tell, Math.random() * SPREAD_MS, "stale"); // nobody could publish
  });
  hear("stream-paused", () => tell("state", "paused"));
  hear("stream-reset", ({ lastEventId }) => {
    reached = parse(lastEventId);
    tell("stale", reached);
  });
  hear("stream-error", refused);
  hear("keep-alive", () => {
    refusals = 0;
    if (!tabs && document.hidden) leave(); // tabs share six connections
  });
  for (const type of page.streamTypes.split(" ")) hear(type, ({ lastEventId, data }) => {
    const [channel] = lastEventId.split(":");
    const before = reached[channel];
    reached = parse(lastEventId);
    tell("message", channel, before, reached[channel], type, data);
  });
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) refused();
    else tell("state", navigator.onLine ? "connecting" : "offline");
  };
  tell("state", "connecting");
  later(SILENCE_MS);
}

function later(ms) {
  clearTimeout(timer);
  timer = setTimeout(roll, ms);
}

function close() {
  clearTimeout(timer);
  source?.close();
}

function refused() {
  close();
  tell("state", "offline");
  if (refusals) tell("stale");
  later(Math.min(RETRY_FIRST_MS * 2 ** refusals, RETRY_LAST_MS) * (0.5 + Math.random() / 2));
  refusals += 1;
}

if (page) {
  cursor = parse(page.cursor);
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => { if (event.persisted) enter(); });
  document.addEventListener("freeze", leave);
  document.addEventListener("resume", enter);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && root.dataset.connection !== "live") enter();
  });
  enter();
}
