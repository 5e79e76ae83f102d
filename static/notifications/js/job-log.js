// A job's log lines as they come.

import { fill, whole } from "./job-progress.js";
import { showLocalTimes } from "./local-time.js";

const LINES_MAX = 1_000; // as the server shows

document.addEventListener("carillon:job-log", ({ detail: { at, n, level, text } }) => {
  const log = document.getElementById("job-log");
  const list = log.querySelector("ol");
  const last = list.lastElementChild?.dataset;
  if (at < last?.at || (at === last?.at && n <= last.n)) return; // a repetition
  const line = log.querySelector("template").content.firstElementChild.cloneNode(true);
  Object.assign(line.dataset, { at, n, level });
  line.firstElementChild.dateTime = at;
  line.lastElementChild.textContent = text;
  showLocalTimes(line);
  list.append(line);
  log.hidden = false;
  if (list.childElementCount > LINES_MAX) list.firstElementChild.remove();
  const kept = list.childElementCount;
  if (n > kept) log.querySelector("[data-part]").textContent = fill("logCut", { kept: whole.format(kept), n: whole.format(n) });
});
