"""All of it by keyboard, and said to those who don't see it."""

from playwright.sync_api import Page, expect

from tests.support.browser import OpenWindow, analysed
from tests.support.site import Site

WHAT_HAS_THE_FOCUS = """() => {
  const element = document.activeElement;
  const name = element.getAttribute("aria-label") || element.labels?.[0]?.textContent
    || element.querySelector("[aria-label]")?.getAttribute("aria-label") || element.textContent;
  return name.trim().replace(/\\s+/g, " ");
}"""

# An outline that is there, as thick as one sees, and not of the colour of what is behind it.
FOCUS_IS_SEEN = """() => {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  return element.matches(":focus-visible") && style.outlineStyle !== "none"
    && parseFloat(style.outlineWidth) >= 2 && box.width > 8 && box.height > 8
    && style.outlineColor !== getComputedStyle(document.body).backgroundColor;
}"""


def tab_through(page: Page, last: str) -> list[str]:
    """Press Tab until `last` has the focus; return the names of all that had it."""
    names: list[str] = []
    while not names or names[-1] != last:
        page.keyboard.press("Tab")
        names.append(page.evaluate(WHAT_HAS_THE_FOCUS))
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(FOCUS_IS_SEEN), f"the focus on {names[-1]!r} can't be seen"
        assert len(names) < 20, names
    return names


def test_tab_reaches_all_of_the_page_in_the_order_of_reading(site: Site, open_window: OpenWindow):
    name = site.new_user()
    page = open_window(site.login(name)).live_tab()
    assert tab_through(page, "Analyse") == [
        "Skip to the content",
        "Carillon",
        "Home",
        "Jobs",
        "Reminders 0 unread",  # the number is hidden; its text is not a part of the name
        f"Account of {name}",
        "Drop a file here, or choose one",
        "Analyse",
    ]


def test_the_first_link_skips_to_the_content(site: Site, open_window: OpenWindow):
    page = open_window(site.login()).live_tab("/jobs/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Analyse a file")).to_be_focused()


def test_the_menu_opens_and_logs_out_by_keyboard(site: Site, open_window: OpenWindow):
    name = site.new_user()
    page = open_window(site.login(name)).live_tab()
    tab_through(page, f"Account of {name}")
    button = page.get_by_role("button", name="Log out")
    expect(button).to_be_hidden()
    page.keyboard.press("Enter")
    expect(button).to_be_visible()
    page.keyboard.press("Tab")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")


def test_a_screen_reader_gets_names_roles_and_landmarks(site: Site, open_window: OpenWindow):
    visitor = site.login()
    path = analysed(visitor, "words.txt", b"one two two")
    page = open_window(visitor).live_tab(path)
    for role in ("banner", "main"):
        expect(page.get_by_role(role)).to_have_count(1)
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.get_by_role("table", name="Most frequent words")).to_be_visible()
    expect(page.get_by_role("row", name="two 2")).to_be_visible()
    page.goto("/jobs/")
    expect(page.get_by_role("link", name="Jobs", exact=True)).to_have_attribute(
        "aria-current", "page"
    )
