// The upload form: a place to drop a file.

import { percent } from "./job-progress.js";

const place = document.querySelector("file-drop");
const part = (selector) => place.querySelector(selector);
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

function begin() {
  const { dataset } = place;
  const form = part("form");
  const input = part("input[type=file]");
  let request;

  const complain = (text) => {
    const errors = part("[data-errors]");
    errors.textContent = text;
    errors.hidden = !text;
    input.ariaInvalid = !!text;
  };

  const end = () => {
    request = null;
    dataset.state = "";
  };

  const failed = (text) => {
    end();
    complain(text);
    input.focus();
  };

  const progress = (sent) => {
    part("progress").value = sent;
    part("[data-part=sent]").textContent = sent < 1 ? percent(sent) : dataset.textStoring;
  };

  const check = () => {
    const [file] = input.files;
    const large = file?.size > dataset.maxBytes;
    complain(large ? dataset.textLarge : "");
    return !large && file;
  };

  const send = () => {
    if (request) return;
    const file = check();
    if (!file) return input.focus();
    request = new XMLHttpRequest();
    request.upload.onprogress = ({ loaded, total }) => progress(loaded / total);
    request.onload = () => {
      const { status, response, responseURL } = request;
      if (status === 201) location.assign(response.url);
      else if (responseURL !== form.action) location.reload(); // led to the login
      else {
        const errors = Object.values(response?.errors ?? {}).flat(); // `get_json_data()`
        failed(errors.map((error) => error.message).join(" ") || dataset[status === 413 ? "textLarge" : "textFailed"]);
      }
    };
    request.onerror = () => failed(dataset.textBroken);
    request.onabort = () => failed("");
    request.open("POST", form.action);
    request.responseType = "json";
    request.setRequestHeader("Accept", "application/json");
    dataset.state = "sending";
    part("[data-part=name]").textContent = file.name;
    progress(0);
    part("[data-upload] button").focus();
    request.send(new FormData(form));
  };

  input.onchange = check;
  form.onsubmit = (event) => { event.preventDefault(); send(); };
  part("[data-upload] button").onclick = () => request.abort();
  place.ondragenter = place.ondragover = place.ondragleave = place.ondrop = (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    if (request) return;
    const { type, relatedTarget, dataTransfer: { files } } = event;
    dataset.state = type === "drop" || (type === "dragleave" && !place.contains(relatedTarget)) ? "" : "over";
    if (type !== "drop" || !files.length) return;
    if (files.length > 1) return complain(dataset.textOne);
    input.files = files;
    send();
  };
  // Beside the place, a file would replace the page.
  window.ondragover = window.ondrop = (event) => { if (hasFiles(event)) event.preventDefault(); };
  addEventListener("pageshow", ({ persisted }) => persisted && end());
}

if (place) begin();
