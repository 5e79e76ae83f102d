// What the header says of the stream. Its words come from the server, in `data-<state>`.

const CALM_MS = 1_500; // what is over by then is nobody's business

customElements.define("connection-state", class extends HTMLElement {
  #timer = 0;
  #state = ""; // to show when the timer ends

  connectedCallback() {
    document.addEventListener("carillon:connection", (event) => this.#plan(event.detail));
    this.#plan(document.documentElement.dataset.connection);
  }

  #plan(state) {
    if (!state) return;
    this.#state = state;
    if (state === "live") this.#show();
    else this.#timer ||= setTimeout(() => this.#show(), CALM_MS);
  }

  #show() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (this.dataset.state === this.#state) return;
    this.dataset.state = this.#state;
    this.textContent = this.dataset[this.#state];
  }
});
