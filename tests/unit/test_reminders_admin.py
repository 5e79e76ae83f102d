"""Writing and sending a reminder in Django's admin."""

import json
import re

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications import storage
from notifications.channels import user_channel
from notifications.reminders.models import Delivery, Reminder

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("live_redis")]

LIST = "/admin/reminders/reminder/"
ADD = f"{LIST}add/"


@pytest.fixture
def admin():
    return User.objects.create_superuser("admin")


@pytest.fixture
def office(admin):
    """Return a client that is logged in as a superuser."""
    client = Client()
    client.force_login(admin)
    return client


@pytest.fixture
def user():
    return User.objects.create(username="demo")


@pytest.fixture
def friend():
    return User.objects.create(username="friend")


def form(*recipients, **values):
    return {
        "title": "Backup",
        "text": "Tonight.",
        "level": "urgent",
        "link": "",
        "recipients": [user.pk for user in recipients],
        **values,
    }


def change_url(reminder):
    return f"{LIST}{reminder.pk}/change/"


def errors(response):
    """Return the form's errors by field. A form without any was saved."""
    assert response.status_code == 200
    return response.context["adminform"].form.errors


def staff(*permissions):
    user = User.objects.create(username="staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def test_saving_a_reminder_delivers_it(
    office, admin, user, friend, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        response = office.post(ADD, form(user, link="/jobs/"))
    assert response.status_code == 302
    assert "Sent to 1 person." in [str(m) for m in get_messages(response.wsgi_request)]

    reminder = Reminder.objects.get()
    assert (reminder.title, reminder.text, reminder.level, reminder.link, reminder.created_by) == (
        "Backup",
        "Tonight.",
        "urgent",
        "/jobs/",
        admin,
    )
    delivery = Delivery.objects.get()
    assert delivery.user == user
    [message] = storage.read(user_channel(user), 1).log
    assert (message.type, json.loads(message.data)["id"]) == ("reminder", delivery.pk)
    assert not storage.read(user_channel(friend), 1).log


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("title", {"title": " "}),
        ("title", {"title": "x" * 201}),
        ("text", {"text": "x" * 10_001}),
        ("level", {"level": "shout"}),
        ("link", {"link": "javascript:alert(1)"}),
        ("link", {"link": "//example.org"}),
        ("recipients", {"recipients": []}),
        ("recipients", {"recipients": ["everybody"]}),
        ("recipients", {"recipients": ["999999"]}),
        ("recipients", {"recipients": ["9" * 30]}),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_saved(office, user, field, values):
    response = office.post(ADD, form(user) | values)
    assert list(errors(response)) == [field]
    assert not Reminder.objects.exists()


def test_no_recipients_are_said_plainly(office):
    found = errors(office.post(ADD, form()))
    assert found["recipients"] == ["Choose at least one recipient."]


def test_a_bad_link_is_said_plainly_and_once(office, user):
    [text] = errors(office.post(ADD, form(user, link="javascript:alert(1)")))["link"]
    assert "begins with http:// or https://, or a path of this site" in text


def test_someone_who_is_not_active_is_no_recipient(office, user):
    gone = User.objects.create(username="gone", is_active=False)
    found = errors(office.post(ADD, form(user, gone)))
    assert found["recipients"] == [f"{gone.pk} is not an active user. Choose the recipients again."]


def test_a_reminder_too_large_for_the_transport_is_a_form_error(office, user, settings):
    settings.NOTIFICATIONS_MESSAGE_MAX_BYTES = 1024
    found = errors(office.post(ADD, form(user, text="x" * 1100)))
    assert found["__all__"] == ["This reminder is too large to be sent. Shorten the text."]


def test_a_line_break_is_one_character(office, user):
    typed = "a\r\n" + "x" * 9_998
    assert office.post(ADD, form(user, text=typed)).status_code == 302
    assert Reminder.objects.get().text == "a\n" + "x" * 9_998


def test_what_was_sent_is_read_only(office, user):
    office.post(ADD, form(user))
    reminder = Reminder.objects.get()
    response = office.get(change_url(reminder))
    assert list(response.context["adminform"].form.fields) == ["recipients"]
    office.post(change_url(reminder), form(title="Changed", text="Changed", link="/changed/"))
    reminder.refresh_from_db()
    assert (reminder.title, reminder.text, reminder.link) == ("Backup", "Tonight.", "")


def test_recipients_can_be_added_and_nobody_gets_it_twice(
    office, user, friend, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        office.post(ADD, form(user))
        response = office.post(
            change_url(Reminder.objects.get()), {"recipients": [user.pk, friend.pk]}
        )
    assert response.status_code == 302
    assert Delivery.objects.count() == 2
    assert [len(storage.read(user_channel(who), 1).log) for who in (user, friend)] == [1, 1]


def test_a_sent_reminder_is_saved_without_more_recipients(office, user):
    office.post(ADD, form(user))
    assert office.post(change_url(Reminder.objects.get()), {}).status_code == 302
    assert Delivery.objects.count() == 1


def test_the_form_for_a_new_one_is_not_changed_by_a_sent_one(office, user):
    office.post(ADD, form(user))
    office.get(change_url(Reminder.objects.get()))
    recipients = office.get(ADD).context["adminform"].form.fields["recipients"]
    assert recipients.label == "Recipients"
    assert recipients.required


def test_the_author_stays_when_somebody_else_adds_recipients(office, admin, user, friend):
    office.post(ADD, form(user))
    reminder = Reminder.objects.get()
    staff("change_reminder").post(change_url(reminder), {"recipients": [friend.pk]})
    reminder.refresh_from_db()
    assert reminder.created_by == admin
    assert reminder.deliveries.count() == 2


def test_the_list_counts_delivered_and_read(office, user, friend):
    office.post(ADD, form(user, friend))
    Delivery.objects.filter(user=user).update(read_at=timezone.now())
    html = office.get(LIST).content.decode()
    assert re.search(r'field-delivered">2<', html)
    assert re.search(r'field-read">1<', html)


def test_the_list_costs_the_same_queries_however_long(office, user):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            office.get(LIST)
        return len(captured)

    office.post(ADD, form(user))
    one = queries()
    for _ in range(5):
        office.post(ADD, form(user))
    assert queries() == one


def test_deliveries_are_listed_by_reminder_and_made_by_nobody(office, user, friend):
    office.post(ADD, form(user, friend))
    office.post(ADD, form(user))
    first = Reminder.objects.earliest("pk")
    response = office.get("/admin/reminders/delivery/", {"reminder__id__exact": first.pk})
    assert response.context["cl"].result_count == 2
    assert office.get("/admin/reminders/delivery/add/").status_code == 403
    delivery = Delivery.objects.latest("pk")
    office.post(f"/admin/reminders/delivery/{delivery.pk}/change/", {"user": friend.pk})
    delivery.refresh_from_db()
    assert delivery.user == user


def test_deleting_a_reminder_takes_its_deliveries_along(office, user):
    office.post(ADD, form(user))
    office.post(f"{LIST}{Reminder.objects.get().pk}/delete/", {"post": "yes"})
    assert not Reminder.objects.exists()
    assert not Delivery.objects.exists()


def search(client, term):
    """Return the status of a search for recipients, and the names that it found."""
    field = {"app_label": "reminders", "model_name": "delivery", "field_name": "user"}
    response = client.get("/admin/autocomplete/", {**field, "term": term})
    found = response.json()["results"] if response.status_code == 200 else []
    return response.status_code, [result["text"] for result in found]


def test_recipients_are_found_as_one_types_and_only_active_ones(office, user, friend):
    User.objects.create(username="demoted", is_active=False)
    assert search(office, "dem") == (200, ["demo"])


def test_who_may_not_see_users_can_not_search_them(user):
    client = staff("add_reminder")
    assert client.get(ADD).status_code == 200
    assert search(client, "demo") == (403, [])


def test_the_form_has_no_inline_script_or_style(office, user):
    office.post(ADD, form(user))
    for url in (ADD, change_url(Reminder.objects.get())):
        html = office.get(url).content.decode()
        assert "admin-autocomplete" in html
        assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", html)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", html)


@pytest.mark.parametrize(
    ("permission", "add", "change"),
    [
        ("add_reminder", 200, 403),
        ("view_reminder", 403, 200),
        ("change_reminder", 403, 200),
        ("view_delivery", 403, 403),
    ],
)
def test_permissions_are_djangos(office, user, permission, add, change):
    office.post(ADD, form(user))
    client = staff(permission)
    assert client.get(ADD).status_code == add
    assert client.get(change_url(Reminder.objects.get())).status_code == change


def test_who_may_only_look_can_not_send(office, user, friend):
    office.post(ADD, form(user))
    reminder = Reminder.objects.get()
    response = staff("view_reminder").post(change_url(reminder), {"recipients": [friend.pk]})
    assert response.status_code == 403
    assert Delivery.objects.count() == 1


def test_someone_without_the_staff_mark_is_sent_away(user):
    client = Client()
    client.force_login(user)
    assert client.post(ADD, form(user)).status_code == 302
    assert not Reminder.objects.exists()
