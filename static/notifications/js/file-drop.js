// The upload form, with a place to drop a file, a check of its size before it is sent, and a bar.
// Without this module it is an ordinary form.

class FileDrop extends HTMLElement {
  #form;
  #input;
  #request = null;
  #depth = 0; // of nested elements that the drag is over

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
    if (event.type === "dragenter") this.#depth += 1;
    else if (event.type === "dragleave") this.#depth -= 1;
    else if (event.type === "drop") this.#depth = 0;
    if (this.#request) return;
    this.dataset.state = this.#depth > 0 ? "over" : "";
    if (event.type === "drop" && event.dataTransfer.files.length) this.#take(event.dataTransfer.files);
  }

  #take(files) {
    if (files.length > 1) {
      this.#complain(this.dataset.textOne);
      return;
    }
    this.#input.files = files;
    this.#send();
  }

  /** Return the chosen file, or say what is wrong with it and return null. */
  #check() {
    const [file] = this.#input.files;
    let wrong = "";
    if (!file) wrong = this.dataset.textNone;
    else if (file.size > Number(this.dataset.maxBytes)) wrong = this.dataset.textLarge;
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
    const language = document.documentElement.lang || undefined;
    const share = total ? done / total : 1;
    const bar = this.querySelector("[data-upload] progress");
    bar.value = share;
    const text = new Intl.NumberFormat(language, { style: "percent" }).format(Math.floor(share * 100) / 100);
    this.querySelector("[data-part=sent]").textContent = share < 1 ? text : this.dataset.textStoring;
  }

  #answered(request) {
    const answer = parse(request.responseText);
    if (request.status === 201 && answer?.url) {
      location.assign(answer.url);
      return;
    }
    if (request.responseURL !== this.#form.action) {
      location.reload(); // led to the login: the session has ended
      return;
    }
    this.#failed(wordsOf(answer) || (request.status === 413 ? this.dataset.textLarge : this.dataset.textFailed));
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

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The words in an answer: `{"error": "…"}`, or a form's errors as `Form.errors.get_json_data()` has them. */
function wordsOf(answer) {
  if (typeof answer?.error === "string") return answer.error;
  const errors = answer?.errors ?? {};
  return Object.values(errors).flat().map((error) => error?.message ?? String(error)).join(" ");
}

customElements.define("file-drop", FileDrop);
