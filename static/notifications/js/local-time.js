// Times in the reader's own zone.

const language = document.documentElement.lang || undefined;
const moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(language, { timeStyle: "medium" });

export function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[data-local]")) {
    const at = new Date(time.dateTime);
    if (isNaN(at)) continue;
    time.title = time.textContent;
    time.textContent = (time.dataset.local ? clock : moment).format(at);
    time.removeAttribute("data-local");
  }
}

showLocalTimes(document);
