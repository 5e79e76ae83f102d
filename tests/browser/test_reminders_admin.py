"""A reminder's page in the admin: it says whom it reaches before, and what became of it after."""

from django.utils import timezone
from playwright.sync_api import expect

from tests.support.browser import ADD_REMINDER, OpenWindow, is_same, mark
from tests.support.site import Site

ASK = """
from django.contrib.auth.models import User
from notifications.reminders import remind
users = User.objects.filter(username__in={names})
print(remind(users, "Drill", acknowledge=True).pk)
"""

# Accounts that no other test takes: 600 are enough for a job.
TO_MANY = """
from django.contrib.auth.models import User
from notifications.reminders import remind
users = User.objects.filter(username__in=[f"user-{n}" for n in range(401, 1001)])
print(remind(users, "Terms", by=User.objects.get(username="admin")).pk)
"""

ACKNOWLEDGE = """
from django.contrib.auth.models import User
from notifications.reminders.models import Delivery
from notifications.reminders.reading import acknowledge
user = User.objects.get(username="{name}")
acknowledge(user, list(Delivery.objects.of(user).values_list("pk", flat=True)))
"""


def test_the_form_says_whom_it_reaches_and_when(site: Site, open_window: OpenWindow):
    name = site.new_user()
    page = open_window(site.login("admin")).tab(ADD_REMINDER)
    expect(page.locator("#reminder-audience")).to_contain_text("nobody yet")
    expect(page.get_by_role("button", name="Schedule")).to_be_hidden()
    page.get_by_label("Title").fill("Backup")

    page.locator(".field-users .select2-selection").click()
    page.keyboard.type(name)
    page.get_by_role("option", name=name, exact=True).click()
    expect(page.locator("#reminder-audience")).to_contain_text(f"1 person: {name}")

    page.get_by_label("Again and again").check()
    expect(page.get_by_role("button", name="Send now")).to_be_hidden()
    page.locator("#id_local_at").fill("2030-03-04T09:00")
    page.locator("#id_zone").select_option("Europe/Berlin")
    in_a_year = page.locator("#id_until").input_value()
    assert in_a_year[:4] == str(timezone.localdate().year + 1)
    expect(page.locator("#reminder-when")).to_contain_text("it has ended")
    page.locator("#id_until").fill("2031-01-01")
    expect(page.locator("#reminder-when")).to_contain_text("Every Monday at 09:00, until")
    page.locator("#id_repeats").select_option("rule")
    page.locator("#id_rule").fill("FREQ=SECONDLY")
    expect(page.locator("#reminder-when")).to_have_attribute("data-wrong", "")

    page.get_by_label("Now", exact=True).check()
    page.get_by_role("button", name="Send now").click()
    expect(page.get_by_text("Sent to 1 person.")).to_be_visible()
    expect(page.locator("[data-count=addressed]")).to_have_text("1")


def test_the_report_moves_and_reminds_only_who_is_missing(site: Site, open_window: OpenWindow):
    first, second = site.new_user(), site.new_user()
    pk = site.shell(ASK.format(names=[first, second])).split()[-1]
    page = open_window(site.login("admin")).live_tab(f"/admin/reminders/reminder/{pk}/change/")
    mark(page)
    expect(page.locator("[data-count=acknowledged]")).to_have_text("0")
    site.shell(ACKNOWLEDGE.format(name=first))
    expect(page.locator("[data-count=acknowledged]")).to_have_text("1")
    expect(page.locator(".reminder-missing")).to_have_text(
        f"1 person has not acknowledged it: {second}"
    )
    assert is_same(page)
    page.get_by_role("button", name="Remind only those").click()
    expect(page.get_by_text("Sent to 1 person.")).to_be_visible()


def test_a_sending_to_many_is_followed_as_it_goes(site: Site, open_window: OpenWindow):
    window = open_window(site.login("admin"))
    pk = site.shell(TO_MANY).split()[-1]
    page = window.live_tab(f"/admin/reminders/reminder/{pk}/change/")
    mark(page)
    expect(page.locator("#reminder-report job-progress")).to_have_attribute(
        "data-state", "succeeded"
    )
    expect(page.locator("[data-count=addressed]")).to_have_text("600")
    assert is_same(page)
