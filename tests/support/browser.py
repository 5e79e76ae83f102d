"""A headless Chromium, and people in front of it.

Playwright's sync API keeps an event loop of its own running in this thread for as long as it is
open. No asyncio test can run in the meantime: open it for the browser tests alone.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    WebError,
    sync_playwright,
)

from tests.support.visitor import Response, Visitor
from tests.support.waiting import wait_until

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
NO_FEATURES = (
    # Pages behind the address bar, in processes of their own: for each window they cost more than
    # what is tested in it.
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxPopup",
    # The last list is the one that counts, so here is what matters of Playwright's.
    "AimEnabled",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)
OPTIONS = (
    "--no-sandbox",  # which root can't have, and a container seldom
    # Nothing but the site under test is asked for anything.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    f"--disable-features={','.join(NO_FEATURES)}",
)
PREFERENCES = {
    "locale": "en-US",
    "timezone_id": "UTC",
    "reduced_motion": "reduce",  # to paint without end costs more than all the tests do
}
DEADLINE_MS = 10_000

ADD_REMINDER = "/admin/reminders/reminder/add/"

# Keeps every state that a job's element has shown, in `window.shown`: what is over before a test
# could look is in it too, and a reload would empty it.
KEEP_WHAT_JOBS_SHOW = """
window.shown = [];
new MutationObserver(() => {
  for (const job of document.querySelectorAll("job-progress")) {
    const bar = job.querySelector("progress");
    const part = (name) => job.querySelector(`[data-part=${name}]`)?.textContent.trim() ?? "";
    const now = {
      id: job.dataset.jobId,
      state: job.dataset.state,
      word: part("state"),
      value: bar?.hasAttribute("value") ? bar.value : null,
      max: bar?.max,
      spoken: bar?.getAttribute("aria-valuetext"),
      amount: part("amount"),
    };
    const last = window.shown.findLast((one) => one.id === now.id);
    if (JSON.stringify(last) !== JSON.stringify(now)) window.shown.push(now);
  }
}).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise RuntimeError(f"The browser tests need one of {', '.join(PROGRAMS)} on PATH.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(OPTIONS))
        yield browser
        browser.close()


class Window:
    """A browser with cookies of its own, where one person may have several tabs.

    It keeps what the browser complains about: errors in its console, violations of the Content
    Security Policy, exceptions of scripts. A test that provokes one says so, with `expect`.
    """

    def __init__(self, browser: Browser, visitor: Visitor, **options: Any) -> None:
        self.base_url = visitor.base_url
        self.context: BrowserContext = browser.new_context(
            base_url=visitor.base_url, **{**PREFERENCES, **options}
        )
        self.context.set_default_timeout(DEADLINE_MS)
        self.context.add_cookies(
            [
                {"name": name, "value": value, "url": visitor.base_url}
                for name, value in visitor.cookies.items()
            ]
        )
        self._complaints: list[str] = []
        self._expected: list[str] = []
        self.context.on("console", self._heard)
        self.context.on("weberror", self._failed)

    def tab(self, path: str = "/", live: bool | None = None) -> Page:
        """Open a page; with `live`, wait until its stream is open."""
        page = self.context.new_page()
        page.goto(path)
        if live:
            wait_for_connection(page, "live")
        return page

    def live_tab(self, path: str = "/") -> Page:
        return self.tab(path, live=True)

    def expect(self, pattern: str) -> None:
        """Take complaints that match `pattern` as part of the test."""
        self._expected.append(pattern)

    @property
    def complaints(self) -> list[str]:
        return [
            text
            for text in self._complaints
            if not any(re.search(pattern, text) for pattern in self._expected)
        ]

    def close(self) -> None:
        self.context.close()

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            where = message.location.get("url", "")
            self._complaints.append(f"{message.type}: {message.text} ({where})")

    def _failed(self, error: WebError) -> None:
        self._complaints.append(f"exception: {error.error}")


OpenWindow = Callable[..., Window]


def wait_for_connection(page: Page, state: str, seconds: float = 10) -> None:
    """Wait until the page's stream is "live", "paused", "connecting" or "offline"."""
    page.wait_for_selector(
        f"html[data-connection={state}]", state="attached", timeout=seconds * 1000
    )


def mark(page: Page) -> None:
    """Leave a mark on the document that a reload would wipe out; see `is_same`."""
    page.evaluate("window.sameDocument = true")


def is_same(page: Page) -> bool:
    return bool(page.evaluate("window.sameDocument === true"))


def job_id(page: Page) -> str:
    """Return the id in the address of a job's page."""
    return page.url.rstrip("/").rpartition("/")[2]


def shown(page: Page, job: str) -> list[dict[str, Any]]:
    """Return all that the page has shown of a job (the window has `KEEP_WHAT_JOBS_SHOW`)."""
    states: list[dict[str, Any]] = page.evaluate("window.shown")
    return [state for state in states if state["id"] == job]


def upload(visitor: Visitor, name: str, content: bytes) -> str:
    """Send a file as a form does, and return the path of its job."""
    response = visitor.post("/", {}, {"file": (name, content)})
    assert response.location, response.text
    return response.location


def analysed(visitor: Visitor, name: str, content: bytes) -> str:
    """Send a file, wait until its job is done, and return the job's path."""
    path = upload(visitor, name, content)
    wait_until(lambda: 'data-state="succeeded"' in visitor.get(path).text, 20, f"{path} is done")
    return path


def send_reminder(admin: Visitor, username: str, title: str, **values: str) -> Response:
    """Write a reminder to one person with the admin's form, over HTTP."""
    query = f"app_label=reminders&model_name=reminder&field_name=users&term={username}"
    found = admin.get(f"/admin/autocomplete/?{query}").json()["results"]
    [pk] = [result["id"] for result in found if result["text"] == username]
    form = {"title": title, "text": "", "level": "info", "link": "", "users": pk}
    response = admin.post(ADD_REMINDER, {**form, "when": "now", "_send": "1", **values})
    assert response.status == 302, response.text
    return response


def drag(target: Locator, name: str, content: str, steps: list[str]) -> None:
    """Drag a file over an element from outside the browser: "dragenter", "dragover", "drop"."""
    target.evaluate(
        """(element, [name, content, steps]) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([content], name));
          for (const type of steps) {
            element.dispatchEvent(
              new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer }));
          }
        }""",
        [name, content, steps],
    )
