// What the header says of the stream. Its words come from the server, in `data-<state>`.

const CALM_MS = 1_500; // a reconnection that succeeds within this is nobody's business

customElements.define("connection-state", class extends HTMLElement {
  #timer = 0;

  connectedCallback() {
    document.addEventListener("carillon:connection", this);
    this.#plan(document.documentElement.dataset.connection);
  }

  disconnectedCallback() {
    document.removeEventListener("carillon:connection", this);
    clearTimeout(this.#timer);
  }

  handleEvent(event) {
    this.#plan(event.detail);
  }

  #plan(state) {
    clearTimeout(this.#timer);
    if (!state) return;
    if (state === "live") this.#show(state);
    else this.#timer = setTimeout(() => this.#show(state), CALM_MS);
  }

  #show(state) {
    if (this.dataset.state === state) return;
    this.dataset.state = state;
    this.textContent = this.dataset[state];
  }
});
