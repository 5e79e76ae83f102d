// What the header says of the stream.

const CALM_MS = 1_500;

const element = document.querySelector("connection-state");
let timer, state;

function show() {
  timer = clearTimeout(timer);
  if (element.dataset.state === state) return;
  element.dataset.state = state;
  element.textContent = element.dataset[state];
}

if (element) {
  document.addEventListener("carillon:connection", ({ detail }) => {
    state = detail;
    if (state === "live") show();
    else timer ??= setTimeout(show, CALM_MS);
  });
}
