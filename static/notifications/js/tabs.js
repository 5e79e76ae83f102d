// Which tab leads: who holds the lock, unless nothing is heard of it.

const TICK_MS = 500; // the second without a sign asks, the third takes

export function join(name, hear, lead, lost) {
  const wire = new BroadcastChannel(name);
  const queue = new AbortController();
  const post = (...message) => wire.postMessage(message);
  let release;
  let silent = 0;

  const request = (options) => navigator.locks.request(name, options, () => new Promise((resolve) => {
    release = resolve;
    lead();
  })).catch(() => release && lost());

  const timer = setInterval(() => {
    if (release) return;
    silent += 1;
    if (silent === 2) post("ping");
    if (silent === 3) request({ steal: true });
  }, TICK_MS);

  wire.onmessage = ({ data: [what, ...rest] }) => {
    if (what === "ping") return release && post("pong");
    silent = 0;
    hear[what]?.(...rest);
  };

  request({ signal: queue.signal });

  const leave = () => {
    clearInterval(timer);
    wire.close();
    queue.abort();
    release?.();
  };
  return { post, leave };
}
