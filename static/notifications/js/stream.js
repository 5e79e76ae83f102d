// The page's one EventSource.
//
// `data-stream-url`, `data-cursor` and `data-stream-types` say where it is, from where to follow and
// what to hand on. The browser reconnects by itself; this adds what it leaves out: a stream that was
// refused, one that has gone silent, a page that was away.

import { dispatch, refreshSnapshot } from "./snapshot.js";

const SILENCE_MS = 50_000; // two keep-alives, 20 s apart, and some
const RETRY_FIRST_MS = 1_000;
const RETRY_LAST_MS = 60_000;
const SPREAD_MS = 2_000; // all pages are back at once
const HIDDEN_MS = 60_000; // all tabs share six connections of HTTP/1.1

const page = document.querySelector("[data-stream-url]")?.dataset;

class Stream {
  #url = new URL(page.streamUrl, location.href);
  #cursor = page.cursor;
  #types = page.streamTypes.split(" ");
  #source = null;
  #refusals = 0;
  #silence = 0;
  #retry = 0;
  #hiding = 0;

  constructor() {
    addEventListener("pagehide", () => this.#close()); // an open stream keeps a page out of bfcache
    addEventListener("pageshow", (event) => { if (event.persisted) this.#wake(); });
    addEventListener("online", () => { if (!document.hidden) this.#open(); });
    addEventListener("offline", () => this.#say("offline"));
    document.addEventListener("visibilitychange", () => this.#seen());
    this.#say("connecting");
    this.#seen();
  }

  #seen() {
    clearTimeout(this.#hiding);
    if (!document.hidden) this.#wake();
    else this.#hiding = setTimeout(() => this.#close(), HIDDEN_MS);
  }

  /** Open the stream now unless it is open. */
  #wake() {
    if (this.#source?.readyState !== EventSource.OPEN && !document.hidden) this.#open();
  }

  #open() {
    this.#close();
    this.#url.searchParams.set("lastEventId", this.#cursor);
    const source = new EventSource(this.#url);
    this.#source = source;
    const on = (type, act) => source.addEventListener(type, (event) => {
      this.#heard(event);
      act?.(event);
    });
    on("stream-open", () => this.#say("live"));
    on("stream-live", () => {
      this.#say("live");
      // What was saved while Redis was away, nobody could publish.
      setTimeout(refreshSnapshot, Math.random() * SPREAD_MS);
    });
    on("stream-paused", () => this.#say("paused"));
    on("stream-reset", refreshSnapshot);
    on("stream-error", () => this.#refused());
    on("keep-alive", () => { this.#refusals = 0; });
    for (const type of this.#types) on(type, (event) => this.#pass(type, event.data));
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) this.#refused();
      else this.#say(navigator.onLine ? "connecting" : "offline");
    };
    this.#say("connecting");
    this.#watch();
  }

  #close() {
    clearTimeout(this.#silence);
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = null;
  }

  #heard(event) {
    if (event.lastEventId) this.#cursor = event.lastEventId;
    this.#watch();
  }

  #watch() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#open(), SILENCE_MS);
  }

  /** The server won't stream. Until it does, the page keeps up by fetching itself. */
  #refused() {
    this.#close();
    this.#say("offline");
    const most = Math.min(RETRY_FIRST_MS * 2 ** this.#refusals, RETRY_LAST_MS);
    this.#refusals += 1;
    this.#retry = setTimeout(() => {
      if (this.#refusals > 1) refreshSnapshot();
      this.#open();
    }, most * (0.5 + Math.random() / 2));
  }

  #pass(type, text) {
    let data;
    try {
      data = JSON.parse(text);
    } catch {
      console.warn(`carillon: a ${type} message is not JSON`);
      return;
    }
    dispatch(type, data);
  }

  #say(connection) {
    document.documentElement.dataset.connection = connection;
    document.dispatchEvent(new CustomEvent("carillon:connection", { detail: connection }));
  }
}

if (page) new Stream();
