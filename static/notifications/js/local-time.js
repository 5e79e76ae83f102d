// Times in the reader's own zone. The server renders UTC and says so, for readers without a script.

const format = new Intl.DateTimeFormat(document.documentElement.lang || undefined, {
  dateStyle: "medium",
  timeStyle: "short",
});

/** Rewrite every `<time data-local>` under `root`; what it said before stays as its title. */
export function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[data-local]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = time.textContent;
    time.textContent = format.format(at);
    time.removeAttribute("data-local");
  }
}

showLocalTimes(document);
