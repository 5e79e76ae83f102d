"""What a page does and says when Redis or the server goes away, comes back, or has forgotten."""

import sqlite3
from contextlib import closing
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, expect

from tests.support.browser import (
    OpenWindow,
    is_same,
    mark,
    send_reminder,
    upload,
)


def expect_state(page: Page, state: str, text: str) -> None:
    expect(page.locator("html")).to_have_attribute("data-connection", state)
    expect(page.locator("connection-state")).to_have_text(text, use_inner_text=True)


def titles(page: Page) -> Locator:
    return page.locator("reminder-list h2")


def test_without_redis_pages_say_so_and_lose_nothing(make_site, open_window: OpenWindow):
    site = make_site(webs=1)
    name, other_name, admin = site.new_user(), site.new_user(), site.login("admin")
    window = open_window(site.login(name))
    page = window.live_tab("/reminders/")
    elsewhere = open_window(site.login(other_name)).live_tab("/reminders/")
    send_reminder(admin, name, "Before")
    expect(titles(page)).to_have_text("Before")
    for tab in (page, elsewhere):
        expect_state(tab, "live", "Live")
        mark(tab)

    site.redis.kill()
    for tab in (page, elsewhere):
        expect_state(tab, "paused", "Updates paused")
    fresh = window.tab("/jobs/")  # renders, and says so
    expect(fresh.get_by_role("heading", level=1)).to_have_text("Your jobs")
    expect_state(fresh, "paused", "Updates paused")
    # Saved all the same; there is nobody to publish it to.
    for username in (name, other_name):
        send_reminder(admin, username, "Meanwhile")

    site.redis.start()
    send_reminder(admin, name, "Afterwards")  # perhaps before the streams are back
    for tab in (page, elsewhere, fresh):
        expect_state(tab, "live", "Live")
    expect(titles(page)).to_have_text(["Afterwards", "Meanwhile", "Before"])
    expect(titles(elsewhere)).to_have_text("Meanwhile")
    expect(fresh.locator("unread-badge")).to_have_text("3 unread")
    expect(elsewhere.locator("unread-badge")).to_have_text("1 unread")
    assert is_same(page)
    assert is_same(elsewhere)


def test_a_server_that_restarts_costs_a_page_nothing(make_site, open_window: OpenWindow):
    site = make_site(webs=2)
    name, admin = site.new_user(), site.login("admin").at(site.base_urls[1])
    window = open_window(site.login(name))
    window.expect("ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING")
    page = window.live_tab("/reminders/")
    mark(page)

    site.webs[0].stop()
    expect_state(page, "connecting", "Connecting")
    send_reminder(admin, name, "Meanwhile")  # through the other process

    site.start_web("--port", str(urlsplit(site.base_url).port))
    expect_state(page, "live", "Live")
    expect(page.locator("unread-badge")).to_have_text("1 unread")
    expect(titles(page)).to_have_text("Meanwhile")
    assert is_same(page)


def test_after_a_reset_the_page_fetches_what_it_may_have_missed(make_site, open_window: OpenWindow):
    site = make_site(webs=1)
    name, admin = site.new_user(), site.login("admin")
    visitor = site.login(name)
    upload(visitor, "before.txt", b"")  # no worker: it waits
    page = open_window(visitor).live_tab("/jobs/")
    link = page.get_by_role("link", name="before.txt")
    link.focus()
    mark(page)

    # A change that no message tells of.
    with closing(sqlite3.connect(site.var_dir / "db.sqlite3")) as connection, connection:
        connection.execute("UPDATE jobs_job SET title = 'after.txt'")
    site.redis.flush()
    send_reminder(admin, name, "The first message of a Redis that has forgotten all")

    link = page.get_by_role("link", name="after.txt")
    expect(link).to_be_focused()
    expect(page.locator("unread-badge")).to_have_text("1 unread")
    expect_state(page, "live", "Live")
    assert is_same(page)
