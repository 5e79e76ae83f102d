// The upload form: a place to drop a file, a check of its size before it is sent, and a bar.

import { percent } from "./job-progress.js";

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

customElements.define("file-drop", class extends HTMLElement {
  #form = this.querySelector("form");
  #input = this.querySelector("input[type=file]");
  #upload = this.querySelector("[data-upload]");
  #request = null;

  connectedCallback() {
    this.#input.onchange = () => this.#check();
    this.#form.onsubmit = (event) => { event.preventDefault(); this.#send(); };
    this.#upload.querySelector("button").onclick = () => this.#request.abort();
    for (const type of ["dragenter", "dragover", "dragleave", "drop"]) this.addEventListener(type, this);
    // A file dropped beside the place would replace the page.
    window.ondragover = window.ondrop = (event) => { if (hasFiles(event)) event.preventDefault(); };
    addEventListener("pageshow", (event) => { if (event.persisted) this.#end(); });
  }

  handleEvent(event) {
    if (!hasFiles(event)) return;
    event.preventDefault();
    if (this.#request) return;
    const { type, relatedTarget, dataTransfer: { files } } = event;
    this.dataset.state = type === "drop" || (type === "dragleave" && !this.contains(relatedTarget)) ? "" : "over";
    if (type !== "drop" || !files.length) return;
    if (files.length > 1) this.#complain(this.dataset.textOne);
    else {
      this.#input.files = files;
      this.#send();
    }
  }

  /** Return the chosen file; null, and say why, if it can't be sent. */
  #check() {
    const [file] = this.#input.files;
    const { textNone, textLarge, maxBytes } = this.dataset;
    const wrong = !file ? textNone : file.size > maxBytes ? textLarge : "";
    this.#complain(wrong);
    return wrong ? null : file;
  }

  #send() {
    if (this.#request) return;
    const file = this.#check();
    if (!file) {
      this.#input.focus();
      return;
    }
    const body = new FormData(this.#form);
    const request = new XMLHttpRequest();
    this.#request = request;
    request.upload.onprogress = ({ loaded, total }) => this.#progress(loaded / total);
    request.onload = () => this.#answered(request);
    request.onerror = () => this.#failed(this.dataset.textBroken);
    request.onabort = () => this.#failed("");
    request.open("POST", this.#form.action);
    request.responseType = "json";
    request.setRequestHeader("Accept", "application/json");
    this.dataset.state = "sending";
    this.#upload.hidden = false;
    this.#upload.querySelector("[data-part=name]").textContent = file.name;
    this.#progress(0);
    this.#upload.querySelector("button").focus();
    request.send(body);
  }

  #progress(sent) {
    this.#upload.querySelector("progress").value = sent;
    this.#upload.querySelector("[data-part=sent]").textContent = sent < 1 ? percent(sent) : this.dataset.textStoring;
  }

  #answered({ status, response, responseURL }) {
    if (status === 201) location.assign(response.url);
    else if (responseURL !== this.#form.action) location.reload(); // led to the login
    else {
      const errors = Object.values(response?.errors ?? {}).flat(); // as `Form.errors.get_json_data()`
      this.#failed(errors.map((error) => error.message).join(" ") || this.dataset[status === 413 ? "textLarge" : "textFailed"]);
    }
  }

  #failed(text) {
    this.#end();
    this.#complain(text);
    this.#input.focus();
  }

  #end() {
    this.#request = null;
    this.dataset.state = "";
    this.#upload.hidden = true;
  }

  #complain(text) {
    const errors = this.querySelector("[data-errors]");
    errors.textContent = text;
    errors.hidden = !text;
    this.#input.setAttribute("aria-invalid", Boolean(text));
  }
});
