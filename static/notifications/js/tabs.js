const TICK_MS = 500; // the second in silence asks, the third leads

export function join(name, hear, lead, lost) {
  const wire = new BroadcastChannel(name);
  const gone = new AbortController();
  const { signal } = gone;
  const post = (...message) => wire.postMessage(message);
  let release;
  let silent = 0;

  const request = (options) => navigator.locks.request(name, options, () => signal.aborted || new Promise((resolve) => {
    release = resolve;
    lead();
  })).catch(() => signal.aborted || (release && lost()));

  const timer = setInterval(() => {
    if (release) return;
    silent += 1;
    if (silent === 2) post("need");
    if (silent === 3) request({ steal: true });
  }, TICK_MS);

  wire.onmessage = ({ data: [what, ...rest] }) => {
    if (what !== "need") {
      if (release) return;
      silent = 0;
    }
    hear[what]?.(...rest);
  };

  request({ signal });

  const leave = () => {
    clearInterval(timer);
    wire.close();
    gone.abort();
    release?.();
  };
  return { post, leave };
}
