"""Giving the site a file: chosen, dropped, empty, too large, none at all, given up half-way."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import LIMIT_BYTES
from tests.support.browser import OpenWindow, drag, is_same, mark
from tests.support.site import Site
from tests.support.waiting import wait_until

OVER_THE_LIMIT = "This file is too large. The most is 97.7\N{NO-BREAK SPACE}KB."


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(b"\0" * (LIMIT_BYTES + 1))
    return path


def chooser(page: Page):
    return page.get_by_label("Drop a file here, or choose one")


def analyse(page: Page) -> None:
    page.get_by_role("button", name="Analyse").click()


def posts_of(page: Page) -> list[str]:
    """Return a list to which the address of each form that the page sends is added."""
    posts: list[str] = []
    page.on("request", lambda r: posts.append(r.url) if r.method == "POST" else None)
    return posts


def test_a_dropped_file_is_taken_at_once(site: Site, open_window: OpenWindow):
    page = open_window(site.login()).live_tab()
    drag(page.locator(".drop"), "dropped.txt", "one two\nthree\n", ["dragenter", "dragover"])
    expect(page.locator("file-drop")).to_have_attribute("data-state", "over")
    drag(page.locator(".drop"), "dropped.txt", "one two\nthree\n", ["drop"])
    page.wait_for_url(re.compile("/jobs/.+"))
    expect(page.get_by_role("heading", level=1)).to_have_text("dropped.txt")
    expect(page.locator(".facts")).to_contain_text("14 bytes")


def test_a_name_is_shown_as_text_whatever_is_in_it(site: Site, open_window: OpenWindow):
    page = open_window(site.login()).live_tab()
    name = "<img src=x onerror=alert(1)> & {{ 7 }}.txt"
    drag(page.locator(".drop"), name, "x", ["drop"])
    page.wait_for_url(re.compile("/jobs/.+"))
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    page.goto("/jobs/")
    expect(page.get_by_role("link", name=name)).to_be_visible()
    expect(page.locator("main img")).to_have_count(0)


def test_an_empty_file_has_a_result(site: Site, open_window: OpenWindow, tmp_path: Path):
    (tmp_path / "empty").touch()
    page = open_window(site.login()).tab()
    chooser(page).set_input_files(tmp_path / "empty")
    analyse(page)
    expect(page.locator(".facts")).to_contain_text("0 bytes")
    expect(page.locator(".facts")).to_contain_text(
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


def test_without_a_file_nothing_is_sent(site: Site, open_window: OpenWindow):
    page = open_window(site.login()).tab()
    posts = posts_of(page)
    analyse(page)
    expect(chooser(page)).to_be_focused()
    assert chooser(page).evaluate("input => input.validity.valueMissing")
    assert posts == []


def test_a_file_over_the_limit_is_refused_before_it_is_sent(
    strict_site: Site, open_window: OpenWindow, large: Path
):
    page = open_window(strict_site.login()).tab()
    posts = posts_of(page)
    mark(page)
    chooser(page).set_input_files(large)
    expect(page.get_by_role("alert")).to_have_text(OVER_THE_LIMIT)
    analyse(page)
    expect(chooser(page)).to_be_focused()
    (small := large.with_name("small.bin")).write_bytes(b"small enough")
    chooser(page).set_input_files(small)
    expect(page.get_by_role("alert")).to_be_hidden()
    assert posts == []
    assert is_same(page)


def test_the_servers_refusal_is_shown_in_place(
    strict_site: Site, open_window: OpenWindow, large: Path
):
    window = open_window(strict_site.login())
    window.expect("413")
    page = window.tab()
    mark(page)
    page.locator("file-drop").evaluate("element => { element.dataset.maxBytes = 1e9; }")
    chooser(page).set_input_files(large)
    analyse(page)
    expect(page.get_by_role("alert")).to_contain_text("97.7\N{NO-BREAK SPACE}KB")
    expect(chooser(page)).to_be_focused()
    assert is_same(page)


def test_an_upload_that_is_given_up_leaves_nothing_behind(
    site: Site, open_window: OpenWindow, long_text: Path
):
    uploads = site.var_dir / "uploads"
    before = set(uploads.rglob("*"))  # of jobs that have failed
    visitor = site.login()
    window = open_window(visitor)
    page = window.tab()
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 500_000}
    window.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
    mark(page)
    chooser(page).set_input_files(long_text)
    analyse(page)
    bar = page.get_by_role("progressbar", name="Upload")
    wait_until(lambda: 0 < float(bar.get_attribute("value") or 0) < 1, 10, "a bar that moves")
    expect(page.locator(".drop-name")).to_have_text(long_text.name)
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(bar).to_be_hidden()
    expect(chooser(page)).to_be_focused()
    assert is_same(page)
    wait_until(lambda: set(uploads.rglob("*")) <= before, 10, "no file is left")
    assert long_text.name not in visitor.get("/jobs/").text
