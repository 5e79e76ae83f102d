"""What holds for every page: a strict policy and no complaint, nothing wider than a phone, words
for what went wrong.
"""

import re
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import ADD_REMINDER, OpenWindow, Window, wait_for_connection
from tests.support.site import Site
from tests.support.visitor import Visitor
from tests.support.waiting import wait_until

PHONE_WIDTH = 360

# Somebody who has a bit of everything: long names and texts, and more than one page of each.
FILL = """
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from notifications.jobs.models import FINISHED, Job, State
from notifications.reminders import deliver
from notifications.reminders.models import Reminder

user = User.objects.get(username="{username}")
now = timezone.now()
names = ["notes.txt", "wort" * 49 + ".bin", "a file with-a-long name " * 8, "größe.csv"]
states = State.values
steps = [{{"title": "Step" * 20, "state": state, "fraction": 0.5}}
         for state in ("done", "running", "waiting")]
log = [{{"n": n, "at": "2031-05-04T10:20:30.123Z", "level": "warning", "text": "path/" * 100}}
       for n in range(1, 40)]
results = {{"failed": ["wort" * 1000], "succeeded": {{
    "size": 10**9, "sha256": "f" * 64, "lines": 10**7, "words": 10**8, "longest_line": 10**9,
    "encoding": "utf-8", "frequent_words_exact": False, "seconds": 1,
    "frequent_words": [["donau" * 30, 10**8], ["of", 7]]}}}}
jobs = [
    Job(owner=user, title=names[n % 4], task="t", state=states[n % 7], version=2,
        message="Reading", unit="B", current=n * 10**8, total=35 * 10**8, steps=steps,
        attempts=2, retry_at=now, cancel_requested=now if states[n % 7] == "running" else None,
        log_tail=log if states[n % 7] in FINISHED else [], log_lines=10_000, retryable=True,
        error="OSError: " + "no-space-left" * 20 if states[n % 7] == "failed" else "",
        started=now, finished=now + timedelta(seconds=n) if states[n % 7] in FINISHED else None,
        members_total=3 if states[n % 7] in ("cancelled", "running") else 0, members_failed=1,
        result_template="analysis/result.html" if states[n % 7] == "succeeded" else "",
        result=results.get(states[n % 7]))
    for n in range(30)
]
Job.objects.bulk_create(jobs)
groups = [job for job in jobs if job.members_total]
Job.objects.bulk_create(
    Job(owner=user, parent=job, title=names[1], task="t", state="failed", error="no-space" * 40)
    for job in groups for _ in range(3))
for n in range(30):
    reminder = Reminder.objects.create(
        title="Donau" * 30 if n % 2 else "Backup", text="https://example.org/" + "path/" * 60,
        level=Reminder.Level.values[n % 4], link="/jobs/")
    deliver(reminder, [user])
print(*(job.get_absolute_url() for job in jobs[:7]))
print(f"/admin/reminders/reminder/{{reminder.pk}}/change/")
"""

ADMIN_PAGES = (
    "/admin/",
    "/admin/reminders/reminder/",
    ADD_REMINDER,
    "/admin/reminders/delivery/",
    "/admin/jobs/job/",
    "/admin/auth/user/",
)


@pytest.fixture(scope="module")
def full(site: Site) -> tuple[str, list[str], str]:
    """A user with much on every page; the paths of a job in each state; a sent one's admin page."""
    username = site.new_user()
    *paths, change = site.shell(FILL.format(username=username)).split()
    return username, paths, change


@dataclass(frozen=True, slots=True)
class Visit:
    """What a browser as wide as a phone saw of one page."""

    path: str
    status: int
    policy: str
    inline: int  # scripts and styles that are not files
    widths: tuple[int, int]  # light, dark


@pytest.fixture(scope="module")
def walk(browser: Browser, site: Site, full) -> tuple[list[Visit], list[str]]:
    """Every page, visited, and what the browser complained about."""
    username, jobs, change = full
    unfolded = [f"{path}?page=1" for path in jobs]
    lists = [
        "/jobs/",
        "/jobs/?page=2",
        "/jobs/?state=lost&q=nothing",
        "/reminders/",
        "/reminders/?show=unread&page=2",
        "/reminders/?show=snoozed",
        "/reminders/settings/",
    ]
    walks = {
        site.login(username): ["/", *lists, *unfolded],
        site.login("admin"): ["/", *ADMIN_PAGES, change],
        Visitor(site.base_url): ["/login/", "/admin/login/"],
    }
    visits, complaints = [], []
    for visitor, paths in walks.items():
        window = Window(browser, visitor, viewport={"width": PHONE_WIDTH, "height": 740})
        page = window.tab()
        visits += [visit(page, path) for path in paths]
        complaints += window.complaints
        window.close()
    return visits, complaints


def visit(page: Page, path: str) -> Visit:
    response = page.goto(path)
    assert response is not None
    if page.locator("connection-state").count():
        wait_for_connection(page, "live")
    inline = page.locator("[style], style, script:not([src])").count()
    widths = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        widths.append(page.evaluate("document.documentElement.scrollWidth"))
    policy = response.headers["content-security-policy"]
    return Visit(path, response.status, policy, inline, (widths[0], widths[1]))


def test_no_page_makes_the_browser_complain(walk):
    visits, complaints = walk
    assert {visit.status for visit in visits} == {200}
    assert complaints == []


def test_the_policy_of_every_page_is_strict(walk):
    visits, _ = walk
    for policy in {visit.policy for visit in visits}:
        directives = {
            name: values
            for name, *values in (part.split() for part in policy.split(";") if part.strip())
        }
        assert directives["default-src"] == ["'none'"]
        assert directives["script-src"] == ["'self'"]
        assert directives["style-src"] == ["'self'"]
        assert directives["frame-ancestors"] == ["'none'"]
        assert "unsafe" not in policy


def test_nothing_is_inline(walk):
    visits, _ = walk
    own = [visit for visit in visits if not visit.path.startswith("/admin/")]
    assert [visit.path for visit in own if visit.inline] == []


def test_no_page_scrolls_sideways_on_a_phone(walk):
    visits, _ = walk
    assert [visit for visit in visits if visit.widths != (PHONE_WIDTH, PHONE_WIDTH)] == []


def test_an_inline_script_would_be_refused_and_noticed(site: Site, open_window: OpenWindow):
    """That the tests above can fail."""
    window = open_window(site.login())
    page = window.tab()
    page.evaluate("document.body.append(document.createElement('script'))")
    page.evaluate("document.body.lastChild.append('window.ran = true')")
    page.evaluate("document.body.setAttribute('style', 'color: red')")
    assert page.evaluate("window.ran") is None
    complaints = [text for text in window.complaints if "Content Security Policy" in text]
    assert len(complaints) == 2
    window.expect("Content Security Policy")


def brightness(page: Page) -> float:
    """Return the brightness of the page's ground, 0 to 255."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_dark_pages_are_dark(site: Site, open_window: OpenWindow):
    page = open_window(site.login("demo")).tab()
    for scheme, is_dark in (("light", False), ("dark", True)):
        page.emulate_media(color_scheme=scheme)
        wait_until(lambda: is_dark is (brightness(page) < 64), 5, scheme)  # noqa: B023


def test_every_bar_has_a_name_that_says_of_what(site: Site, full, open_window: OpenWindow):
    username, _, _ = full
    page = open_window(site.login(username)).tab("/jobs/")
    rows = page.locator("job-progress[data-state=running], job-progress[data-state=retrying]")
    assert rows.count() > 1
    for row in rows.all():
        title = row.get_by_role("link").inner_text()
        expect(row.get_by_role("progressbar")).to_have_accessible_name(f"Progress of {title}")


def test_a_list_of_many_jobs_has_pages(site: Site, full, open_window: OpenWindow):
    username, _, _ = full
    page = open_window(site.login(username)).live_tab("/jobs/")
    expect(page.locator("job-progress")).to_have_count(25)
    page.get_by_role("link", name="Older").click()
    expect(page.locator("job-progress")).to_have_count(5)
    expect(page.get_by_text("Page 2 of 2")).to_be_visible()
    page.get_by_role("link", name="Newer").click()
    expect(page.locator("job-progress")).to_have_count(25)


def test_an_address_of_nothing_is_answered_kindly(site: Site, open_window: OpenWindow):
    for visitor in (site.login(), Visitor(site.base_url)):
        window = open_window(visitor)
        window.expect("404")
        page = window.tab()
        response = page.goto("/nothing/here/")
        assert response is not None and response.status == 404
        expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")
        page.get_by_role("link", name="To the start page").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(
            re.compile("What is in this file|Log in")
        )


def test_a_form_without_its_token_is_answered_kindly(site: Site, open_window: OpenWindow):
    window = open_window(site.login())
    window.expect("403")
    page = window.tab("/reminders/")
    window.context.clear_cookies(name="csrftoken")
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("This form has expired")
    expect(page.get_by_text("reload the page and send it again")).to_be_visible()
