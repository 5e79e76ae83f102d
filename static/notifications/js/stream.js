// One EventSource for all tabs: see docs/architecture.md.

import { dispatch, longer, refreshSnapshot } from "./snapshot.js";
import { join } from "./tabs.js";

const SILENCE_MS = 50_000; // two keep-alives
const RETRY_MS = 500;
const SPREAD_MS = 2_000; // of all pages
const ROLL_MS = 50;
const CHANNELS_MAX = 50; // as the server

const root = document.documentElement;
const page = document.querySelector("[data-stream-url]")?.dataset;

// Ids compare as text: 16 digits.
const parse = (places) => Object.fromEntries(places.split(",").map((place) => place.split(":")));

let cursor, tabs;
let source, timer, reached; // the leader's
let pause = RETRY_MS;

// What tabs tell each other and themselves.
const on = {
  roll() {
    tell("need", cursor);
  },
  need(places, joins) {
    if (!reached) return;
    if (joins) roll();
    for (const channel in places) {
      if (reached[channel] <= places[channel]) continue;
      if (source) reopen(); // it answers late
      reached[channel] = places[channel];
    }
    tell("state", root.dataset.connection);
  },
  state(detail) {
    if (root.dataset.connection === detail) return;
    root.dataset.connection = detail;
  },
  message(channel, before, id, type, text) {
    const last = cursor[channel];
    if (before > last) return on.roll(); // a gap
    if (id > last) cursor[channel] = id;
    else if (!last || id > before) return; // or again
    dispatch(type, JSON.parse(text));
  },
  stale(places, wait) {
    for (const channel in places) if (cursor[channel]) cursor[channel] = places[channel];
    setTimeout(refreshSnapshot, wait);
  },
};

function tell(what, ...rest) {
  tabs?.post(what, ...rest);
  on[what](...rest);
}

function enter() {
  leave();
  if (navigator.locks) {
    tabs = join([import.meta.url, page.user, page.streamTypes, page.streamUrl], on, roll, enter);
    tell("need", cursor, true);
  } else roll();
}

function leave() {
  tabs?.leave();
  tabs = reached = null;
  close();
  on.state("connecting");
}

// Ask who needs what.
function roll() {
  reached = {};
  reopen();
  tell("roll");
}

function reopen() {
  close();
  tell("state", "connecting");
  timer = setTimeout(open, ROLL_MS);
}

function open() {
  const channels = Object.keys(reached).slice(0, CHANNELS_MAX);
  const places = channels.map((channel) => `${channel}:${reached[channel]}`);
  source = new EventSource(`${page.streamUrl}?lastEventId=${encodeURIComponent(places)}&channel=${channels.join("&channel=")}`);
  const hear = (type, act) => source.addEventListener(type, (event) => {
    later(SILENCE_MS);
    act(event);
  });
  hear("stream-open", () => tell("state", "live"));
  hear("stream-live", () => {
    tell("state", "live");
    tell("stale", null, Math.random() * SPREAD_MS); // nobody could publish
  });
  hear("stream-paused", () => tell("state", "paused"));
  hear("stream-reset", ({ lastEventId }) => tell("stale", Object.assign(reached, parse(lastEventId))));
  hear("stream-error", refused);
  hear("keep-alive", () => {
    pause = RETRY_MS;
    if (!tabs && document.hidden) leave(); // tabs share six connections
  });
  for (const type of page.streamTypes.split(" ")) hear(type, ({ lastEventId, data }) => {
    const [channel, id] = lastEventId.split(/[:,]/);
    tell("message", channel, reached[channel], id, type, data);
    reached[channel] = id;
  });
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) refused();
    else tell("state", navigator.onLine ? "connecting" : "offline");
  };
  later(SILENCE_MS);
}

function later(ms) {
  clearTimeout(timer);
  timer = setTimeout(roll, ms);
}

function close() {
  clearTimeout(timer);
  source = source?.close();
}

function refused() {
  close();
  tell("state", "offline");
  if (pause !== RETRY_MS) tell("stale");
  pause = longer(pause);
  later(pause);
}

if (page) {
  cursor = parse(page.cursor);
  addEventListener("pagehide", leave);
  addEventListener("pageshow", ({ persisted }) => persisted && enter());
  document.addEventListener("freeze", leave);
  document.addEventListener("resume", enter);
  addEventListener("visibilitychange", () => {
    if (!document.hidden && root.dataset.connection !== "live") enter();
  });
  enter();
}
