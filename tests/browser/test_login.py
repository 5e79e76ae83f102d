"""Who gets in, and out again."""

import re

from playwright.sync_api import Page, expect

from tests.support.browser import OpenWindow, upload, wait_for_connection
from tests.support.site import Site
from tests.support.visitor import Visitor


def log_in(page: Page, username: str, password: str) -> None:
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_an_anonymous_visitor_is_led_to_the_login_and_then_to_where_he_wanted(
    site: Site, open_window: OpenWindow
):
    page = open_window(Visitor(site.base_url)).tab("/jobs/")
    expect(page).to_have_url(re.compile(r"/login/\?next=/jobs/$"))
    expect(page.locator("connection-state")).to_have_count(0)

    username = site.new_user()
    log_in(page, username, "password")
    expect(page).to_have_url(f"{site.base_url}/jobs/")
    expect(page.locator(".menu summary")).to_contain_text(username)
    wait_for_connection(page, "live")


def test_a_wrong_password_is_refused_in_words(site: Site, open_window: OpenWindow):
    page = open_window(Visitor(site.base_url)).tab("/login/")
    log_in(page, site.new_user(), "wrong")
    expect(page.get_by_role("alert")).to_contain_text(
        "Please enter a correct username and password"
    )
    expect(page.get_by_label("Username")).to_have_value(re.compile("user-"))


def test_logging_out_leads_to_the_login_and_leaves_nothing_open(
    site: Site, open_window: OpenWindow
):
    page = open_window(site.login()).live_tab("/jobs/")
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(f"{site.base_url}/login/")
    page.goto("/jobs/")
    expect(page).to_have_url(re.compile("/login/"))


def test_what_is_open_in_another_tab_goes_too(site: Site, open_window: OpenWindow):
    name = site.new_user()
    window = open_window(site.login(name))
    upload(site.login(name), "secret.txt", b"secret")
    window.expect("401")
    page, other = window.live_tab("/jobs/"), window.live_tab("/")
    expect(page.get_by_text("secret.txt")).to_be_visible()
    other.locator(".menu summary").click()
    other.get_by_role("button", name="Log out").click()
    expect(other.get_by_role("heading", level=1)).to_have_text("Log in")
    # Something happens, so that the page asks for its new state.
    upload(Visitor(site.base_url).login(name, "password"), "news.txt", b"news")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    expect(page.get_by_text("secret.txt")).to_have_count(0)


def test_a_demo_says_who_may_log_in_and_lets_them(site: Site, open_window: OpenWindow):
    page = open_window(Visitor(site.base_url)).tab("/")
    names = page.locator(".notice b")
    expect(names).to_have_text(["demo", "demo", "admin", "admin"])
    log_in(page, names.nth(0).inner_text(), names.nth(1).inner_text())
    expect(page.get_by_role("heading", level=1)).to_have_text("What is in this file?")
    wait_for_connection(page, "live")
