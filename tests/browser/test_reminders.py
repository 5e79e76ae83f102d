"""Reminders: from the admin's form to the open pages of people, and read there."""

import re
import time

from playwright.sync_api import Locator, Page, expect

from tests.support.browser import (
    ADD_REMINDER,
    OpenWindow,
    is_same,
    mark,
    send_reminder,
    wait_for_connection,
)
from tests.support.site import Site

KEEP_WHEN_TOASTS_CAME = """
window.toasts = [];
new MutationObserver((changes) => {
  for (const node of changes.flatMap((change) => [...change.addedNodes])) {
    if (node.classList?.contains("toast")) window.toasts.push(Date.now() / 1000);
  }
}).observe(document, { subtree: true, childList: true });
"""


def badge(page: Page) -> Locator:
    return page.locator("unread-badge")


def toasts(page: Page) -> Locator:
    return page.get_by_role("region", name="New reminders").get_by_role("article")


def reminders(page: Page) -> Locator:
    return page.locator("reminder-list article")


def button_of(page: Page, title: str) -> Locator:
    """Return the button that marks one reminder in the list as read."""
    return reminders(page).filter(has_text=title).get_by_role("button", name="Mark as read")


def test_a_reminder_written_in_the_admin_is_on_open_pages_within_a_second(
    site: Site, open_window: OpenWindow
):
    name, other_name = site.new_user(), site.new_user()
    window, other = open_window(site.login(name)), open_window(site.login(other_name))
    window.context.add_init_script(KEEP_WHEN_TOASTS_CAME)
    home, listed = window.live_tab("/"), window.live_tab("/reminders/")
    elsewhere = other.live_tab("/reminders/")
    for page in (home, listed):
        expect(badge(page)).to_be_hidden()
        mark(page)
    expect(listed.get_by_text("No reminders yet")).to_be_visible()

    admin = open_window(site.login("admin")).tab(ADD_REMINDER)
    admin.get_by_label("Title").fill("Backup <b>tonight</b>")
    admin.get_by_label("Text").fill("Log out\nby 22:00.")
    admin.get_by_label("Level").select_option("urgent")
    admin.get_by_label("Link").fill("/jobs/")
    admin.locator(".field-recipients .select2-search__field").type(name)
    admin.locator(".select2-results__option").get_by_text(name, exact=True).click()
    with admin.expect_response(lambda response: response.request.method == "POST"):
        admin.get_by_role("button", name="Save", exact=True).click()
    saved = time.time()
    expect(admin.get_by_text("Sent to 1 person.")).to_be_visible()

    for page in (home, listed):
        expect(toasts(page)).to_have_count(1)
        assert page.evaluate("window.toasts")[0] - saved < 1
        toast = toasts(page).first
        expect(toast).to_contain_text("Urgent")
        expect(toast.locator("bdi")).to_have_text("Backup <b>tonight</b>")
        expect(toast.locator(".toast-text")).to_have_text("Log out\nby 22:00.", use_inner_text=True)
        expect(toast.get_by_role("link", name="Open")).to_have_attribute("href", "/jobs/")
        expect(page.locator("[aria-live=assertive]")).to_contain_text("Backup")
        expect(badge(page)).to_have_text("1 unread")
        assert is_same(page)
    expect(reminders(listed)).to_have_count(1)
    expect(reminders(listed)).to_have_attribute("data-state", "unread")
    expect(reminders(listed)).to_contain_text("Backup <b>tonight</b>")
    assert is_same(listed)

    # What comes to the other now comes after whatever could have come before.
    send_reminder(site.login("admin"), other_name, "For the other")
    expect(toasts(elsewhere)).to_have_text([re.compile("For the other")])
    expect(reminders(elsewhere)).to_have_count(1)
    expect(badge(elsewhere)).to_have_text("1 unread")


def test_what_is_read_in_one_tab_is_read_in_all(site: Site, open_window: OpenWindow):
    name, admin = site.new_user(), site.login("admin")
    for title in ("First", "Second", "Third"):
        send_reminder(admin, name, title)
    window = open_window(site.login(name))
    listed, other, home = (window.live_tab(path) for path in ("/reminders/", "/reminders/", "/"))
    tabs = (listed, other, home)
    for page in tabs:
        expect(badge(page)).to_have_text("3 unread")
        mark(page)
    button_of(listed, "Second").click()
    for page in tabs:
        expect(badge(page)).to_have_text("2 unread")
    for page in (listed, other):
        expect(page.locator("article[data-state=read]")).to_have_text([re.compile("Second")])
        expect(button_of(page, "Second")).to_have_count(0)

    listed.get_by_role("button", name="Mark all as read").click()
    for page in tabs:
        expect(badge(page)).to_be_hidden()
        assert is_same(page)
    for page in (listed, other):
        expect(page.locator("article[data-state=unread]")).to_have_count(0)
        expect(page.get_by_role("button", name="Mark all as read")).to_have_count(0)
    home.reload()
    expect(badge(home)).to_be_hidden()


def test_the_focus_stays_on_a_reminder_whose_button_goes(site: Site, open_window: OpenWindow):
    name, admin = site.new_user(), site.login("admin")
    for title in ("First", "Second"):
        send_reminder(admin, name, title)
    page = open_window(site.login(name)).live_tab("/reminders/")
    second = reminders(page).filter(has_text="Second")
    second.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(second).to_have_attribute("data-state", "read")
    expect(second.locator("form")).to_have_count(0)  # the snapshot is there
    expect(second).to_be_focused()


def test_a_toast_goes_when_it_is_dismissed_or_read_elsewhere(site: Site, open_window: OpenWindow):
    name, admin = site.new_user(), site.login("admin")
    window = open_window(site.login(name))
    page, other = window.live_tab("/jobs/"), window.live_tab("/reminders/")
    for title in ("First", "Second"):
        send_reminder(admin, name, title, level="urgent")
    expect(toasts(page)).to_have_count(2)
    toasts(page).filter(has_text="First").get_by_role("button", name="Dismiss").click()
    expect(toasts(page)).to_have_text([re.compile("Second")])
    expect(badge(page)).to_have_text("2 unread")  # dismissed is not read
    button_of(other, "Second").click()
    expect(toasts(page)).to_have_count(0)
    expect(badge(page)).to_have_text("1 unread")


def test_unread_ones_can_be_shown_alone(site: Site, open_window: OpenWindow):
    name, admin = site.new_user(), site.login("admin")
    for title in ("First", "Second"):
        send_reminder(admin, name, title)
    page = open_window(site.login(name)).live_tab("/reminders/")
    page.get_by_role("link", name="Unread", exact=True).click()
    expect(page.get_by_role("link", name="Unread", exact=True)).to_have_attribute(
        "aria-current", "page"
    )
    wait_for_connection(page, "live")
    mark(page)
    button_of(page, "First").click()
    expect(reminders(page)).to_have_text([re.compile("Second")])
    button_of(page, "Second").click()
    expect(page.get_by_text("All read")).to_be_visible()
    assert is_same(page)
