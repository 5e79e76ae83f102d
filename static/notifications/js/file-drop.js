// The upload form: a place to drop a file, a check of its size before it is sent, and a bar.

import { percent } from "./job-progress.js";

class FileDrop extends HTMLElement {
  #form;
  #input;
  #request = null;

  connectedCallback() {
    this.#form = this.querySelector("form");
    this.#input = this.querySelector("input[type=file]");
    this.#input.addEventListener("change", () => this.#check());
    this.#form.addEventListener("submit", (event) => { event.preventDefault(); this.#send(); });
    this.querySelector("[data-cancel]").addEventListener("click", () => this.#request?.abort());
    for (const type of ["dragenter", "dragover", "dragleave", "drop"]) this.addEventListener(type, this);
    // A file dropped beside the place would replace the page.
    for (const type of ["dragover", "drop"]) addEventListener(type, (event) => {
      if (hasFiles(event)) event.preventDefault();
    });
    addEventListener("pageshow", (event) => { if (event.persisted) this.#reset(); });
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
    request.upload.onprogress = (event) => { if (event.lengthComputable) this.#progress(event.loaded, event.total); };
    request.onload = () => this.#answered(request);
    request.onerror = () => this.#failed(this.dataset.textBroken);
    request.onabort = () => this.#failed("");
    request.open("POST", this.#form.action);
    request.responseType = "json";
    request.setRequestHeader("Accept", "application/json");
    this.dataset.state = "sending";
    const upload = this.querySelector("[data-upload]");
    upload.hidden = false;
    upload.querySelector("[data-part=name]").textContent = file.name;
    this.#progress(0, file.size);
    upload.querySelector("[data-cancel]").focus();
    request.send(body);
  }

  #progress(done, total) {
    const sent = total ? done / total : 1;
    this.querySelector("[data-upload] progress").value = sent;
    this.querySelector("[data-part=sent]").textContent = sent < 1 ? percent(sent) : this.dataset.textStoring;
  }

  #answered(request) {
    const { status, response, responseURL } = request;
    if (status === 201) location.assign(response.url);
    else if (responseURL !== this.#form.action) location.reload(); // led to the login
    else {
      const errors = Object.values(response?.errors ?? {}).flat(); // as `Form.errors.get_json_data()`
      this.#failed(errors.map((error) => error.message).join(" ") || this.dataset[status === 413 ? "textLarge" : "textFailed"]);
    }
  }

  #failed(text) {
    this.#reset();
    this.#complain(text);
    this.#input.focus();
  }

  #reset() {
    this.#request = null;
    this.dataset.state = "";
    this.querySelector("[data-upload]").hidden = true;
  }

  #complain(text) {
    const errors = this.querySelector("[data-errors]");
    errors.textContent = text;
    errors.hidden = !text;
    this.#input.setAttribute("aria-invalid", Boolean(text));
  }
}

function hasFiles(event) {
  return event.dataTransfer?.types.includes("Files") ?? false;
}

customElements.define("file-drop", FileDrop);
