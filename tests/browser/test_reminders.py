"""Reminders: from the admin's form to the open pages of people, and read there."""

import re
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.support.browser import (
    ADD_REMINDER,
    OpenWindow,
    is_same,
    mark,
    send_reminder,
    wait_for_connection,
)
from tests.support.site import Site
from tests.support.waiting import wait_until

KEEP_WHEN_TOASTS_CAME = """
window.toasts = [];
new MutationObserver((changes) => {
  for (const node of changes.flatMap((change) => [...change.addedNodes])) {
    if (node.classList?.contains("toast")) window.toasts.push(Date.now() / 1000);
  }
}).observe(document, { subtree: true, childList: true });
"""


# Keeps what the browser was asked to notify of. Somebody looks at each tab until `window.away`.
KEEP_NOTIFICATIONS = """
window.told = [];
window.Notification = class extends Notification {
  constructor(title, options) {
    super(title, options);
    window.told.push([title, options.body, options.tag]);
  }
};
document.hasFocus = () => !window.away;
"""

IMPORTS = """
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from notifications.reminders import reading, remind
from notifications.reminders.models import Delivery
"""
GIVE = """
reminder = remind(User.objects.get(username={name!r}), {title!r}, **{values!r})
print(reminder.deliveries.get().pk)
"""
TIME_PASSES = """
Delivery.objects.filter(pk={pk}).update({field}=timezone.now() - timedelta(seconds=1))
reading.{event}(timezone.now())
"""


def give(site: Site, name: str, title: str, **values: Any) -> int:
    """Remind somebody of something now; return the id of the delivery."""
    return int(site.shell(IMPORTS + GIVE.format(name=name, title=title, values=values)))


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
    admin.get_by_label("Urgent").check()
    admin.get_by_label("Link").fill("/jobs/")
    admin.locator(".field-users .select2-selection").click()
    admin.keyboard.type(name)
    admin.locator(".select2-results__option").get_by_text(name, exact=True).click()
    admin.get_by_label("Now", exact=True).check()
    with admin.expect_response(lambda response: response.request.method == "POST"):
        admin.get_by_role("button", name="Send now").click()
    saved = time.time()
    expect(admin.get_by_text("Sent to 1 person.")).to_be_visible()

    for page in (home, listed):
        expect(toasts(page)).to_have_count(1)
        assert page.evaluate("window.toasts")[0] - saved < 1
        toast = toasts(page).first
        expect(toast).to_contain_text("Urgent")
        expect(toast.locator("bdi")).to_have_text("Backup <b>tonight</b>")
        expect(toast.locator(".toast-text")).to_have_text("Log out\nby 22:00.", use_inner_text=True)
        expect(toast.get_by_role("link", name="Open")).to_have_attribute(
            "href", re.compile(r"^/reminders/\d+/open/$")
        )
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
    # The snapshot is there.
    expect(second.get_by_role("button", name="Mark as unread")).to_be_visible()
    expect(second).to_be_focused()


def test_a_toast_goes_when_it_is_dismissed_or_read_elsewhere(site: Site, open_window: OpenWindow):
    name, admin = site.new_user(), site.login("admin")
    window = open_window(site.login(name))
    page, other = window.live_tab("/jobs/"), window.live_tab("/reminders/")
    for title in ("First", "Second"):
        send_reminder(admin, name, title, level="urgent")
    expect(badge(page)).to_have_text("2 unread")
    # One at a time.
    expect(toasts(page).filter(visible=True)).to_have_text([re.compile("Second")])
    toasts(page).filter(has_text="Second").get_by_role("button", name="Dismiss").click()
    expect(toasts(page).filter(visible=True)).to_have_text([re.compile("First")])
    for tab in (page, other):
        expect(badge(tab)).to_have_text("1 unread")  # that it was seen is certain
    button_of(other, "First").click()
    expect(toasts(page).filter(visible=True)).to_have_count(0)
    expect(badge(page)).to_be_hidden()
    give(site, name, "Third")
    toasts(page).filter(has_text="Third").get_by_role("button", name="Dismiss").click()
    expect(toasts(page).filter(visible=True)).to_have_count(0)
    expect(badge(page)).to_have_text("1 unread")  # it may have been in the way only


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


def item(page: Page, title: str) -> Locator:
    return reminders(page).filter(has_text=title)


def press(page: Page, title: str, button: str) -> None:
    item(page, title).get_by_role("button", name=button, exact=False).click()


def snooze(page: Page, title: str, button: str) -> None:
    item(page, title).locator("summary").click()
    press(page, title, button)


class TestEachActionIsSeenAtOnceOnOtherDevices:
    @pytest.fixture
    def pages(self, site: Site, open_window: OpenWindow) -> tuple[Page, Page, Page]:
        """The inbox twice, on two devices, and another page; with one reminder."""
        name = site.new_user()
        self.pk = give(site, name, "Backup", acknowledge=True)
        here, there = open_window(site.login(name)), open_window(site.fresh_login(name))
        tabs = here.live_tab("/reminders/"), there.live_tab("/reminders/"), there.live_tab("/")
        for page in tabs:
            expect(badge(page)).to_have_text("1 unread")
            mark(page)
        return tabs

    def seen(self, pages: tuple[Page, Page, Page], state: str) -> None:
        for page in pages[:2]:
            expect(item(page, "Backup")).to_have_attribute("data-state", state)
        for page in pages:
            if state == "unread":
                expect(badge(page)).to_have_text("1 unread")
            else:
                expect(badge(page)).to_be_hidden()
            assert is_same(page)

    def test_reading_and_making_unread(self, pages):
        press(pages[0], "Backup", "Mark as read")
        self.seen(pages, "read")
        press(pages[1], "Backup", "Mark as unread")
        self.seen(pages, "unread")

    def test_acknowledging(self, pages):
        press(pages[0], "Backup", "Acknowledge")
        self.seen(pages, "acknowledged")
        for page in pages[:2]:
            expect(item(page, "Backup")).to_contain_text("Acknowledged")
            expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)

    def test_snoozing_and_bringing_back(self, pages):
        snooze(pages[0], "Backup", "For an hour")
        self.seen(pages, "snoozed")
        expect(item(pages[1], "Backup")).to_contain_text("Snoozed until")
        pages[0].get_by_role("link", name="Snoozed").click()
        expect(item(pages[0], "Backup")).to_be_visible()
        mark(pages[0])
        press(pages[1], "Backup", "Bring back now")
        for page in pages:
            expect(badge(page)).to_have_text("1 unread")
        expect(pages[0].get_by_text("Nothing is snoozed")).to_be_visible()

    def test_what_was_snoozed_comes_again(self, site: Site, pages):
        snooze(pages[0], "Backup", "Tomorrow morning")
        self.seen(pages, "snoozed")
        for page in pages:
            expect(toasts(page)).to_have_count(0)
        site.shell(IMPORTS + TIME_PASSES.format(pk=self.pk, field="snoozed_until", event="wake"))
        for page in pages:
            expect(toasts(page)).to_have_text([re.compile("Backup")])
        self.seen(pages, "unread")

    def test_what_expires_fades(self, site: Site, pages):
        pages[1].get_by_role("link", name="Unread", exact=True).click()
        expect(item(pages[1], "Backup")).to_be_visible()
        wait_for_connection(pages[1], "live")
        site.shell(IMPORTS + TIME_PASSES.format(pk=self.pk, field="expires", event="expire"))
        expect(item(pages[0], "Backup")).to_have_attribute("data-state", "expired")
        expect(item(pages[0], "Backup").get_by_role("button")).to_have_count(0)
        expect(pages[1].get_by_text("All read")).to_be_visible()
        for page in pages:
            expect(badge(page)).to_be_hidden()


def test_a_snooze_until_a_time_that_is_past_says_so(site: Site, open_window: OpenWindow):
    name = site.new_user()
    give(site, name, "Backup")
    window = open_window(site.login(name), timezone_id="Asia/Tokyo")
    window.expect("400")
    page = window.live_tab("/reminders/")
    item(page, "Backup").locator("summary").click()
    page.get_by_label("Until").fill("2026-01-01T10:00")
    press(page, "Backup", "Snooze until then")
    expect(page.get_by_role("status").filter(has_text="Choose a time")).to_be_visible()
    expect(item(page, "Backup")).to_have_attribute("data-state", "unread")

    item(page, "Backup").locator("summary").click()
    noon = page.evaluate("new Date(Date.now() + 86400e3).toLocaleDateString('sv') + 'T12:00'")
    page.get_by_label("Until").fill(noon)
    press(page, "Backup", "Snooze until then")
    expect(item(page, "Backup")).to_contain_text("12:00 PM")  # on the clocks in Tokyo


def test_a_menu_closes_by_escape_and_elsewhere(site: Site, open_window: OpenWindow):
    name = site.new_user()
    for title in ("First", "Second"):
        give(site, name, title)
    page = open_window(site.login(name)).live_tab("/reminders/")
    menu = page.locator("details[open]")
    summary = item(page, "Second").locator("summary")
    summary.click()
    item(page, "Second").get_by_label("Until").focus()
    page.keyboard.press("Escape")
    expect(menu).to_have_count(0)
    expect(summary).to_be_focused()
    summary.click()
    page.get_by_role("heading", level=1).click()
    expect(menu).to_have_count(0)

    summary.click()
    page.locator(".menu summary").click()
    expect(menu).to_have_count(1)
    page.keyboard.press("Escape")
    expect(menu).to_have_count(0)

    # What comes in the meantime does not close it, what it was opened for does.
    summary.click()
    give(site, name, "Third")
    expect(item(page, "Third")).to_be_visible()
    expect(menu).to_have_count(1)
    press(page, "Second", "For an hour")
    expect(item(page, "Second")).to_have_attribute("data-state", "snoozed")
    expect(item(page, "Second")).to_contain_text("Snoozed until")
    expect(menu).to_have_count(0)


class TestAToast:
    def test_has_the_addresses_in_its_text_as_links(self, site: Site, open_window: OpenWindow):
        name = site.new_user()
        page = open_window(site.login(name)).live_tab("/jobs/")
        text = "See https://example.org/a_(b)?c=1, or <b>javascript:alert(1)</b>.\nwww.x.org."
        give(site, name, "Backup", text=text, level="urgent")
        body = toasts(page).locator(".toast-text")
        expect(body).to_have_text(text, use_inner_text=True)
        links = body.get_by_role("link").evaluate_all("all => all.map((a) => a.href)")
        assert links == ["https://example.org/a_(b)?c=1", "http://www.x.org/"]

    def test_whose_link_is_followed_has_been_read(self, site: Site, open_window: OpenWindow):
        name = site.new_user()
        window = open_window(site.login(name))
        page, other = window.live_tab("/jobs/"), window.live_tab("/reminders/")
        give(site, name, "Backup", link="/reminders/settings/", level="urgent")
        toasts(page).get_by_role("link", name="Open").click()
        page.wait_for_url("**/reminders/settings/")
        expect(item(other, "Backup")).to_have_attribute("data-state", "read")
        expect(toasts(other)).to_have_count(0)
        expect(badge(page)).to_be_hidden()

    def test_that_is_urgent_stays_from_page_to_page(self, site: Site, open_window: OpenWindow):
        name = site.new_user()
        page = open_window(site.login(name)).live_tab("/jobs/")
        give(site, name, "Calm")
        give(site, name, "Backup", level="urgent", text="At <b>22:00</b>, see https://example.org/")
        expect(toasts(page)).to_have_count(2)
        page.get_by_role("link", name="Home").click()
        wait_for_connection(page, "live")
        expect(toasts(page)).to_have_count(1)
        expect(page.locator("[aria-live=assertive]")).to_contain_text("Backup")
        expect(toasts(page).locator(".toast-text")).to_contain_text("At <b>22:00</b>")
        mark(page)
        toasts(page).get_by_role("button", name="Dismiss").click()
        expect(badge(page)).to_have_text("1 unread")
        expect(toasts(page)).to_have_count(0)
        assert is_same(page)
        page.reload()
        expect(toasts(page)).to_have_count(0)

    def test_hides_older_ones_when_there_are_many(self, site: Site, open_window: OpenWindow):
        name = site.new_user()
        page = open_window(site.login(name)).live_tab("/jobs/")
        many = "".join(GIVE.format(name=name, title=f"No. {n}", values={}) for n in range(12))
        site.shell(IMPORTS + many)
        expect(badge(page)).to_have_text("12 unread")
        expect(toasts(page).filter(visible=True)).to_have_text(
            [re.compile(f"No. {n}") for n in (9, 10, 11)]
        )

    def test_whose_button_cannot_be_heard_says_so(self, site: Site, open_window: OpenWindow):
        name = site.new_user()
        window = open_window(site.login(name))
        window.expect("ERR_INTERNET_DISCONNECTED")
        page = window.live_tab("/jobs/")
        pk = give(site, name, "Backup", level="urgent")
        expect(toasts(page)).to_have_count(1)
        window.context.set_offline(True)
        toasts(page).get_by_role("button", name="Mark as read").click()
        expect(page.get_by_role("alert").filter(has_text="could not be sent")).to_be_visible()
        expect(toasts(page)).to_have_count(1)
        window.context.set_offline(False)
        toasts(page).get_by_role("button", name="Mark as read").click()
        expect(toasts(page)).to_have_count(0)
        expect(page.get_by_text("could not be sent")).to_be_hidden()
        unread = f"{IMPORTS}print(Delivery.objects.get(pk={pk}).read_at)"
        assert site.shell(unread) != "None"

    def test_is_confirmed_later_by_a_browser_that_is_offline(
        self, site: Site, open_window: OpenWindow
    ):
        name = site.new_user()
        window = open_window(site.login(name))
        window.expect("ERR_INTERNET_DISCONNECTED")
        page = window.live_tab("/jobs/")
        tries: list[Route] = []

        def fail_once(route: Route) -> None:
            tries.append(route)
            if len(tries) == 1:
                route.abort("internetdisconnected")
            else:
                route.continue_()

        page.route("**/reminders/delivered/", fail_once)
        pk = give(site, name, "Backup")
        confirmed = f"{IMPORTS}print(Delivery.objects.get(pk={pk}).delivered_at)"

        def is_confirmed() -> bool:
            page.evaluate("0")  # has routes handled
            return site.shell(confirmed) != "None"

        wait_until(is_confirmed, 20, "it is confirmed")
        assert len(tries) == 2

    def test_takes_an_acknowledgement(self, site: Site, open_window: OpenWindow):
        name = site.new_user()
        window = open_window(site.login(name))
        page, other = window.live_tab("/jobs/"), window.live_tab("/reminders/")
        give(site, name, "Backup", acknowledge=True, level="urgent")
        expect(toasts(page).get_by_role("button", name="Mark as read")).to_be_hidden()
        toasts(page).get_by_role("button", name="Acknowledge").click()
        expect(item(other, "Backup")).to_have_attribute("data-state", "acknowledged")
        for tab in (page, other):
            expect(toasts(tab)).to_have_count(0)

    def test_is_confirmed_once_by_a_browser_with_many_tabs(
        self, site: Site, open_window: OpenWindow
    ):
        name = site.new_user()
        window = open_window(site.login(name))
        requests: list[tuple[str, str | None]] = []
        window.context.on(
            "request", lambda request: requests.append((request.url, request.post_data))
        )
        pages = [window.live_tab(path) for path in ("/", "/jobs/", "/jobs/?page=1")]
        pks = [give(site, name, title) for title in ("First", "Second", "Third")]
        for page in pages:
            expect(toasts(page)).to_have_count(3)
        waiting = (
            f"{IMPORTS}print(Delivery.objects.filter(pk__in={pks}, delivered_at=None).count())"
        )
        wait_until(lambda: site.shell(waiting) == "0", 10, "all are confirmed")
        pages[0].wait_for_timeout(1_500)  # that nothing more comes can't be waited for
        receipts = [body or "" for url, body in requests if url.endswith("/delivered/")]
        sent = [pk for body in receipts for pk in re.findall(r"id=(\d+)", body)]
        assert sorted(sent) == sorted(map(str, pks))
        # The inbox would deliver all that is on it, seen or not.
        assert not [url for url, _ in requests if url.endswith("/reminders/")]


class TestABrowserNotification:
    @pytest.fixture
    def name(self, site: Site) -> str:
        return site.new_user()

    @pytest.fixture
    def pages(self, site: Site, name: str, open_window: OpenWindow) -> list[Page]:
        window = open_window(site.login(name), permissions=["notifications"])
        window.context.add_init_script(KEEP_NOTIFICATIONS)
        return [window.live_tab(path) for path in ("/", "/jobs/", "/reminders/")]

    def away(self, pages: list[Page]) -> None:
        for page in pages:
            page.evaluate("window.away = true")

    def told(self, pages: list[Page]) -> list[list[str]]:
        return [one for page in pages for one in page.evaluate("window.told")]

    def is_told(self, site: Site, name: str, pages: list[Page], title: str) -> None:
        """Give one that is told; all before it had their chance by then."""
        pk = give(site, name, title, text="Now", level="urgent")
        wait_until(lambda: bool(self.told(pages)), 10, "something is told")
        for page in pages:
            expect(toasts(page).filter(has_text=title)).to_be_visible()
        pages[0].wait_for_timeout(1_000)  # that nothing comes can't be waited for
        assert self.told(pages) == [[title, "Now", f"reminder-{pk}"]]

    def test_comes_once_however_many_tabs(self, site: Site, name: str, pages: list[Page]):
        self.away(pages)
        self.is_told(site, name, pages, "Backup")

    def test_does_not_come_where_somebody_looks_at_a_tab(
        self, site: Site, name: str, pages: list[Page]
    ):
        self.away(pages[:2])
        give(site, name, "Seen", level="urgent")
        for page in pages:
            expect(toasts(page)).to_have_count(1)
        pages[2].wait_for_timeout(700)
        self.away(pages)
        self.is_told(site, name, pages, "Backup")

    def test_comes_from_the_chosen_level_and_outside_of_quiet_hours(
        self, site: Site, name: str, pages: list[Page], open_window: OpenWindow
    ):
        settings = open_window(site.fresh_login(name)).tab("/reminders/settings/")
        hour = settings.evaluate("new Date().getHours()")
        settings.get_by_label("Notify me of").select_option("Warnings and urgent reminders")
        settings.get_by_label("Quiet from").fill(f"{hour:02}:00")
        settings.get_by_label("Quiet to").fill(f"{(hour + 2) % 24:02}:00")
        settings.get_by_role("button", name="Save").click()
        expect(settings.get_by_text("Your settings are saved.")).to_be_visible()
        self.away(pages)
        for page in pages:
            expect(badge(page)).to_have_attribute("data-quiet", re.compile(f"^{hour:02}:00-"))
        give(site, name, "Quiet", level="urgent")
        for page in pages:
            expect(toasts(page)).to_have_count(1)
        pages[0].wait_for_timeout(700)  # as long as they wait for each other, and some
        settings.get_by_label("Quiet from").fill("")
        settings.get_by_label("Quiet to").fill("")
        settings.get_by_role("button", name="Save").click()
        for page in pages:
            expect(badge(page)).to_have_attribute("data-quiet", "")
        give(site, name, "Low", level="success")
        self.is_told(site, name, pages, "Backup")


def test_after_a_month_away_all_is_there_and_nothing_storms(make_site, open_window: OpenWindow):
    site = make_site(webs=1)
    name = site.new_user()
    window = open_window(site.login(name), permissions=["notifications"])
    window.expect("ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING")
    window.context.add_init_script(KEEP_NOTIFICATIONS)
    window.context.add_init_script(KEEP_WHEN_TOASTS_CAME)
    left_open = window.live_tab("/jobs/")
    left_open.evaluate("window.away = true")
    mark(left_open)

    site.webs[0].stop()
    many = "".join(GIVE.format(name=name, title=f"No. {n}", values={}) for n in range(29))
    urgent = GIVE.format(name=name, title="Backup", values={"level": "urgent"})
    month = "Delivery.objects.update(created=timezone.now() - timedelta(days=30))"
    site.shell(f"{IMPORTS}{many}{urgent}{month}")
    site.redis.flush()  # its messages are kept for a day
    site.start_web("--port", str(urlsplit(site.base_url).port))

    expect(badge(left_open)).to_have_text("30 unread")
    assert is_same(left_open)
    inbox, fresh = window.live_tab("/reminders/?show=unread"), window.live_tab("/jobs/")
    for page in (inbox, fresh):
        expect(badge(page)).to_have_text("30 unread")
    expect(reminders(inbox)).to_have_count(25)
    expect(toasts(fresh)).to_have_text([re.compile("Backup")])
    # What comes now comes after whatever could have come before.
    give(site, name, "Today")
    for page in (left_open, inbox, fresh):
        expect(badge(page)).to_have_text("31 unread")
        assert len(page.evaluate("window.toasts")) == (2 if page == fresh else 1)
    assert all("Today" in one for page in window.context.pages for one in page.evaluate("told"))
    inbox.get_by_role("link", name="Older").click()
    expect(reminders(inbox)).to_have_count(6)


def test_the_devices_time_zone_is_offered(site: Site, open_window: OpenWindow):
    window = open_window(site.login(), timezone_id="Asia/Kathmandu")
    page = window.tab("/reminders/")
    page.get_by_role("link", name="Settings").click()
    zone = page.get_by_label("Time zone")
    names = r"Asia/(Kathmandu|Katmandu)"  # browsers know some zones by an older name
    expect(zone).to_have_value(re.compile(names))
    expect(page.get_by_text("Suggested by this device")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Your settings are saved.")).to_be_visible()
    expect(page.get_by_text("Suggested by this device")).to_have_count(0)
    zone.select_option("Europe/Berlin")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("This device’s clock is set to")).to_contain_text(re.compile(names))


def test_permission_is_asked_for_in_the_settings(site: Site, open_window: OpenWindow):
    window = open_window(site.login())
    # Headless, nobody would answer.
    window.context.add_init_script(
        """
        window.answer = "default";
        Object.defineProperty(Notification, "permission", { get: () => window.answer });
        Notification.requestPermission = async () => { window.answer = "granted"; };
        """
    )
    page = window.tab("/reminders/settings/")
    expect(page.get_by_text("This browser may notify you.")).to_be_hidden()
    page.get_by_role("button", name="Allow in this browser").click()
    expect(page.get_by_text("This browser may notify you.")).to_be_visible()
    expect(page.get_by_role("button", name="Allow in this browser")).to_be_hidden()
