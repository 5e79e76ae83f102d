"""Every page is whole without JavaScript: a reload shows how things stand."""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import LIMIT_BYTES
from tests.support.browser import OpenWindow, analysed, send_reminder
from tests.support.site import Site
from tests.support.visitor import Visitor
from tests.support.waiting import wait_until


def reload_until(page: Page, condition: Callable[[], bool]) -> None:
    wait_until(lambda: bool(page.reload()) and condition(), 20)


def test_a_file_is_uploaded_watched_by_reloading_and_told_of(
    site: Site, open_window: OpenWindow, long_text: Path
):
    page = open_window(site.login(), java_script_enabled=False).tab()
    page.get_by_label("Drop a file here, or choose one").set_input_files(long_text)
    page.get_by_role("button", name="Analyse").click()
    page.wait_for_url(re.compile("/jobs/.+"))
    bar = page.get_by_role("progressbar", name=f"Progress of {long_text.name}")
    reload_until(page, lambda: bar.count() == 1 and float(bar.get_attribute("value") or 0) > 0)
    expect(page.locator(".state")).to_have_text("Running")
    expect(page.locator(".figures")).to_contain_text(
        re.compile(r"\d+%.*\d.MB of \d\d\.\d.MB", re.DOTALL), use_inner_text=True
    )
    reload_until(page, lambda: page.locator(".state").inner_text() == "Done")
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    expect(page.locator(".words tr")).to_have_count(20)
    page.get_by_role("link", name="All jobs").click()
    expect(page.locator(".job-row")).to_contain_text(long_text.name)
    expect(page.locator(".job-row .state")).to_have_text("Done")


def test_reminders_are_listed_and_marked_as_read_by_a_form(site: Site, open_window: OpenWindow):
    name, admin = site.new_user(), site.login("admin")
    for title in ("First", "Second"):
        send_reminder(admin, name, title, text="Log out\nby 22:00.", level="warning")
    page = open_window(site.login(name), java_script_enabled=False).tab("/reminders/")
    expect(page.locator("unread-badge")).to_have_text("2 unread")
    first = page.locator("article", has_text="First")
    expect(first).to_contain_text("Warning")
    first.get_by_role("button", name="Mark as read").click()
    expect(page).to_have_url(f"{site.base_url}/reminders/")
    expect(first).to_have_attribute("data-state", "read")
    expect(page.locator("unread-badge")).to_have_text("1 unread")
    page.get_by_role("button", name="Mark all as read").click()
    expect(page.locator("article[data-state=unread]")).to_have_count(0)
    expect(page.locator("unread-badge")).to_be_hidden()


def test_reminders_are_snoozed_and_acknowledged_by_forms(site: Site, open_window: OpenWindow):
    name = site.new_user()
    site.shell(
        "from django.contrib.auth.models import User\n"
        "from notifications.reminders import remind\n"
        f"user = User.objects.get(username={name!r})\n"
        "remind(user, 'First'), remind(user, 'Second', acknowledge=True)\n"
        "remind(user, 'Third', link='/jobs/'), remind(user, 'Fourth', level='urgent')"
    )
    page = open_window(site.login(name), java_script_enabled=False).tab("/reminders/?show=unread")
    page.get_by_role("link", name="Open").click()
    expect(page).to_have_url(f"{site.base_url}/jobs/")
    expect(page.locator("unread-badge")).to_have_text("3 unread")
    page.get_by_role("region", name="New reminders").get_by_role("button", name="Dismiss").click()
    page.get_by_role("link", name="Unread", exact=True).click()
    page.get_by_role("button", name="Acknowledge").click()
    first = page.locator("article")
    expect(first).to_have_count(1)
    first.locator("summary").click()
    first.get_by_label("Until").fill("2001-01-01T10:00")
    first.get_by_role("button", name="Snooze until then").click()
    expect(page.get_by_text("Choose a time from now to a year ahead.")).to_be_visible()
    first.locator("summary").click()
    first.get_by_role("button", name="Next week").click()
    expect(page.get_by_role("heading", name="All read")).to_be_visible()
    expect(page).to_have_url(f"{site.base_url}/reminders/?show=unread")
    page.get_by_role("link", name="Snoozed").click()
    expect(first).to_contain_text("Snoozed until")
    first.get_by_role("button", name="Bring back now").click()
    expect(page.locator("unread-badge")).to_have_text("1 unread")


def test_nothing_claims_to_be_live(site: Site, open_window: OpenWindow):
    visitor = site.login()
    page = open_window(visitor, java_script_enabled=False).tab(analysed(visitor, "a.txt", b"a"))
    expect(page.locator("connection-state")).to_have_text("", use_inner_text=True)
    expect(page.locator("time").first).to_contain_text("UTC")


def test_one_logs_in_and_out_by_forms(site: Site, open_window: OpenWindow):
    page = open_window(Visitor(site.base_url), java_script_enabled=False).tab("/")
    page.get_by_label("Username").fill(site.new_user())
    page.get_by_label("Password").fill("password")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What is in this file?")
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")


def test_a_file_over_the_limit_is_refused_by_the_page(
    strict_site: Site, open_window: OpenWindow, tmp_path: Path
):
    window = open_window(strict_site.login(), java_script_enabled=False)
    window.expect("413")
    page = window.tab()
    # One that the form refuses, and one of which the site does not take in the request's body.
    for size in (LIMIT_BYTES + 1, 20_000_000):
        path = tmp_path / "large.bin"
        path.write_bytes(b"\0" * size)
        page.get_by_label("Drop a file here, or choose one").set_input_files(path)
        with page.expect_response(lambda response: response.request.method == "POST") as answer:
            page.get_by_role("button", name="Analyse").click()
        assert answer.value.status == 413
        expect(page.get_by_role("alert")).to_contain_text("97.7\N{NO-BREAK SPACE}KB")
        expect(page.get_by_role("heading", level=1)).to_have_text("What is in this file?")
    assert not [path for path in (strict_site.var_dir / "uploads").rglob("*") if path.is_file()]
