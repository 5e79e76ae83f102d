"""
Takes the pictures of docs/reminders.md anew: `python -m tests.support.pictures`.

They show the real site in Chromium. Reduce them to 128 colours before they are committed, with any
program for PNG: that leaves a third of their size.
"""

from contextlib import closing
from typing import Any

from playwright.sync_api import Browser, Locator, Page

from tests.support.browser import ADD_REMINDER, Window, chromium
from tests.support.processes import ROOT
from tests.support.site import Databases, Site

IMAGES = ROOT / "docs" / "images"
MARGIN = 16  # pixels around what is shown

PEOPLE = """
from datetime import timedelta
from django.contrib.auth.models import Group, User
from django.utils import timezone
from notifications.reminders import reading, remind
from notifications.reminders.models import Delivery

admin, demo = (User.objects.get(username=name) for name in ("admin", "demo"))
crew = Group.objects.create(name="Night shift")
crew.user_set.set(User.objects.filter(username__in=[f"user-{n}" for n in range(1, 8)]))
drill = remind(crew.user_set.all(), "Fire drill", acknowledge=True, by=admin)
for delivery in drill.deliveries.order_by("pk")[:5]:
    reading.mark_delivered(delivery.user, [delivery.pk])
for delivery in drill.deliveries.order_by("pk")[:4]:
    reading.acknowledge(delivery.user, [delivery.pk])

remind(demo, "Import finished", "1,204 rows. Details: https://example.org/7", level="success")
remind(demo, "New terms of use", "In force from Monday.", level="warning", acknowledge=True)
remind(demo, "Summer timetable")
reading.mark_read(demo)
reading.mark_unread(demo, [Delivery.objects.of(demo).get(reminder__title="New terms of use").pk])
remind(demo, "Change your password", "It is a year old.", link="/admin/password_change/")
print(drill.pk)
"""

REMIND = """
from django.contrib.auth.models import User
from notifications.reminders import remind
remind(User.objects.get(username="demo"), "Backup at 22:00", "Log out by then.", level="urgent")
"""


def main() -> None:
    with (
        closing(Databases()) as databases,
        closing(Site(databases, webs=1, env={"DEMO": "1"})) as site,
        chromium() as browser,
    ):
        drill = site.shell(PEOPLE).split()[-1]
        show_form(_window(browser, site, "admin", 1180))
        show_report(_window(browser, site, "admin", 1180), drill)
        show_reader(_window(browser, site, "demo", 900), site)


def show_form(window: Window) -> None:
    page = window.tab(ADD_REMINDER)
    page.get_by_label("Title").fill("Time sheets")
    page.get_by_label("Text").fill("Please hand in your hours: https://example.org/hours")
    for field, name in (("users", "friend"), ("groups", "Night shift")):
        page.locator(f".field-{field} .select2-selection").click()
        page.keyboard.type(name)
        page.get_by_role("option", name=name, exact=True).click()
    page.get_by_label("Again and again").check()
    page.locator("#id_local_at").fill("2030-03-04T09:00")
    page.locator("#id_until").fill("2030-12-31")
    page.locator("#id_zone").select_option("Europe/Berlin")
    page.get_by_text("Every Monday at 09:00").wait_for()
    page.get_by_text("8 people").wait_for()
    page.locator("#id_title").focus()
    _take(page, "reminder-form", page.locator("#content-main"))


def show_report(window: Window, pk: str) -> None:
    page = window.live_tab(f"/admin/reminders/reminder/{pk}/change/")
    _take(page, "reminder-report", page.locator("#reminder-report"))


def show_reader(window: Window, site: Site) -> None:
    page = window.live_tab("/")
    site.shell(REMIND)
    page.locator(".toast").wait_for()
    _take(page, "reminder-toast")
    page = window.live_tab("/reminders/")
    page.set_viewport_size({"width": 900, "height": 760})
    _take(page, "reminder-inbox")


def _window(browser: Browser, site: Site, name: str, width: int) -> Window:
    return Window(browser, site.login(name), viewport={"width": width, "height": 600})


def _take(page: Page, name: str, place: Locator | None = None) -> None:
    """Take a picture of `place` with some margin, or of what a screen shows."""
    path = IMAGES / f"{name}.png"
    options: dict[str, Any] = {}
    box = place.bounding_box() if place is not None else None
    if box is not None:
        options["full_page"] = True
        options["clip"] = {
            "x": max(0, box["x"] - MARGIN),
            "y": max(0, box["y"] - MARGIN),
            "width": box["width"] + 2 * MARGIN,
            "height": box["height"] + 2 * MARGIN,
        }
    page.screenshot(path=path, caret="hide", **options)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
