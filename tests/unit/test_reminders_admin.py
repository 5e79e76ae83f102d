"""Writing, scheduling and sending a reminder in Django's admin, and looking after it."""

import csv
import json
import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.messages import get_messages
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications import storage
from notifications.channels import user_channel
from notifications.jobs.models import Job
from notifications.reminders import recurrence, remind
from notifications.reminders.admin import ReminderAdmin
from notifications.reminders.admin.export import safe_cell
from notifications.reminders.admin.forms import ReminderForm
from notifications.reminders.models import Delivery, Occurrence, Preference, Reminder

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("live_redis")]

LIST = "/admin/reminders/reminder/"
ADD = f"{LIST}add/"
PREVIEW = f"{LIST}preview/"

State = Reminder.State


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


def form(*people, press="send", **values):
    return {
        "title": "Backup",
        "text": "Tonight.",
        "level": "urgent",
        "link": "",
        "users": [user.pk for user in people],
        "when": "now",
        f"_{press}": "1",
        **values,
    }


def timed(*people, press="schedule", **values):
    """Return a form for Monday, the 4th of March 2030, at nine in Berlin."""
    at = {"when": "at", "local_at": "2030-03-04T09:00", "zone": "Europe/Berlin"}
    again = {"until": "2031-01-01"} if values.get("when") == "recurring" else {}
    return form(*people, press=press, **at, **again) | values


def page_of(reminder):
    return f"{LIST}{reminder.pk}/change/"


def errors(response):
    """Return the form's errors by field. A form without any was saved."""
    assert response.status_code == 200
    return response.context["adminform"].form.errors


def said(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


def staff(*permissions, username="staff"):
    user = User.objects.create(username=username, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def send(office, django_capture_on_commit_callbacks):
    """Return a function that posts as the superuser, and lets a commit follow."""

    def send(url, values, client=office):
        with django_capture_on_commit_callbacks(execute=True):
            return client.post(url, values)

    return send


# --- Sending --------------------------------------------------------------------------------------


def test_send_now_sends_it(send, admin, user, friend):
    response = send(ADD, form(user, link="/jobs/"))
    assert response.status_code == 302
    assert said(response) == ["Sent to 1 person."]
    reminder = Reminder.objects.get()
    assert (reminder.title, reminder.level, reminder.link) == ("Backup", "urgent", "/jobs/")
    assert (reminder.created_by, reminder.state) == (admin, State.SENT)
    delivery = Delivery.objects.get()
    assert delivery.user == user
    [message] = storage.read(user_channel(user), 1).log
    assert (message.type, json.loads(message.data)["id"]) == ("reminder", delivery.pk)
    assert not storage.read(user_channel(friend), 1).log


def test_all_kinds_of_an_audience_are_one(send, user, friend):
    group = Group.objects.create(name="crew")
    group.user_set.add(user, friend)
    old = User.objects.create(username="old", date_joined=datetime(2001, 1, 1, tzinfo=UTC))
    send(ADD, form(user, groups=[group.pk], filter_joined_before="2002-01-01"))
    people = set(Delivery.objects.values_list("user", flat=True))
    assert people == {user.pk, friend.pk, old.pk}


def test_a_draft_is_sent_to_nobody_and_may_be_unfinished(send):
    response = send(ADD, form(press="draft"))
    assert said(response) == ["Saved as a draft. It is sent to nobody yet."]
    assert Reminder.objects.get().state == State.DRAFT
    assert not Occurrence.objects.exists()


def test_enter_in_a_field_saves_a_draft(office, user):
    html = office.get(ADD).content.decode()
    assert re.findall(r'<button[^>]*name="_(\w+)"', html)[0] == "draft"


def test_a_test_goes_to_oneself_and_saves_nothing(send, office, admin, user):
    response = send(ADD, form(user, press="test", title="Try"))
    assert said(response) == ["A test was sent to you. Nothing was saved yet."]
    assert [(d.user, d.reminder.title) for d in Delivery.objects.all()] == [(admin, "Test: Try")]
    assert Reminder.objects.count() == 1
    assert response.context["adminform"].form["title"].value() == "Try"

    draft = Reminder.objects.create(title="Draft")
    send(page_of(draft), form(press="test", title="Changed"))
    draft.refresh_from_db()
    assert (draft.title, draft.version) == ("Draft", 0)


def test_a_test_of_a_form_with_errors_sends_nothing(office, user):
    found = errors(office.post(ADD, form(user, press="test", title="", zone="Mars/Phobos")))
    assert set(found) == {"title", "zone"}
    assert not Reminder.objects.exists()


def test_a_form_that_is_sent_off_twice_makes_one_reminder(send, office, admin, user):
    token = office.get(ADD).context["adminform"].form["token"].value()
    first = send(ADD, form(user, token=token))
    second = send(ADD, form(user, token=token))
    assert second.url == first.url
    assert "It is not saved twice: duplicate it" in said(second)[-1]
    assert Delivery.objects.count() == 1
    # Nobody else gets there by it.
    boss = staff("add_reminder", "view_reminder")
    with pytest.raises(IntegrityError), transaction.atomic():
        boss.post(ADD, form(user, token=token))
    assert errors(office.post(ADD, form(user, token="mine")))
    assert errors(office.post(ADD, form(user, token="\0")))
    assert send(ADD, form(user, token=uuid4())).url != first.url


def test_a_form_that_came_twice_at_the_same_moment_makes_one(office, user, monkeypatch):
    token = uuid4()
    office.post(ADD, form(user, press="draft", token=token))
    look, answers = ReminderAdmin._made_by, [None]
    monkeypatch.setattr(
        ReminderAdmin,
        "_made_by",
        lambda self, request: answers.pop() if answers else look(self, request),
    )
    with transaction.atomic():
        response = office.post(ADD, form(user, press="draft", token=token))
    assert response.url == page_of(Reminder.objects.get())


def test_what_the_form_could_not_know_is_said_too(office, user, monkeypatch):
    def over(reminder):
        raise recurrence.InvalidRule("It is over.")

    monkeypatch.setattr("notifications.reminders.schedule.plan", over)
    response = office.post(ADD, timed(user, title="Late"))
    assert said(response) == ["It is over."]
    assert response.context["adminform"].form["title"].value() == "Late"
    assert not Reminder.objects.exists()


# --- Scheduling -----------------------------------------------------------------------------------


def test_a_time_schedules_it(send, user):
    response = send(ADD, timed(user))
    assert said(response) == ["Scheduled: Mon, 4 March 2030, 09:00, Europe/Berlin."]
    reminder, occurrence = Reminder.objects.get(), Occurrence.objects.get()
    assert (reminder.state, reminder.local_at) == (State.SCHEDULED, "2030-03-04T09:00")
    assert occurrence.due == datetime(2030, 3, 4, 8, tzinfo=UTC)
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"repeats": "daily", "every": "2"}, "FREQ=DAILY;INTERVAL=2"),
        ({"repeats": "weekly"}, "FREQ=WEEKLY;BYDAY=MO"),
        ({"repeats": "weekly", "days": ["FR", "MO"]}, "FREQ=WEEKLY;BYDAY=MO,FR"),
        ({"repeats": "monthly", "month_by": "day"}, "FREQ=MONTHLY;BYMONTHDAY=4"),
        ({"repeats": "monthly", "month_by": "weekday"}, "FREQ=MONTHLY;BYDAY=1MO"),
        ({"repeats": "monthly", "month_by": "last"}, "FREQ=MONTHLY;BYMONTHDAY=-1"),
        ({"repeats": "rule", "rule": "freq=yearly;count=3"}, "FREQ=YEARLY;COUNT=3"),
    ],
)
def test_the_small_form_makes_a_rule_and_shows_it_again(send, office, user, values, rule):
    if values["repeats"] != "rule":
        values, rule = {**values, "until": "2031-01-01"}, f"{rule};UNTIL=20310101"
    send(ADD, timed(user, when="recurring", **values))
    reminder = Reminder.objects.get()
    assert (reminder.rule, reminder.state) == (rule, State.SCHEDULED)
    shown = office.get(page_of(reminder)).context["adminform"].form
    for name, value in values.items():
        again = shown[name].value()
        if name == "rule":
            assert again == rule
        elif name == "days":
            assert sorted(again) == sorted(value)
        else:
            assert str(again) == value


@pytest.mark.parametrize(
    ("field", "values", "text"),
    [
        ("local_at", {"local_at": ""}, "Choose a date and a time."),
        ("local_at", {"local_at": "2030-02-30T09:00"}, "is not a date and time"),
        ("local_at", {"local_at": "2020-01-01T09:00"}, "This time has passed."),
        ("local_at", {"local_at": "2030-03-31T02:30"}, "skip 02:30 on this day. Choose 03:30"),
        ("zone", {"zone": "Mars/Phobos"}, "There is no time zone “Mars/Phobos”"),
        ("when", {"when": "now"}, "Choose a time, or send it now."),
        ("rule", {"repeats": "rule", "rule": "FREQ=SECONDLY"}, "SECONDLY"),
        ("rule", {"repeats": "rule", "rule": ""}, "Write a rule"),
        ("rule", {"repeats": "rule", "rule": "FREQ=DAILY;UNTIL=20200101"}, ""),
        ("rule", {"repeats": "rule", "rule": "FREQ=DAILY"}, "never ends"),
        ("until", {"repeats": "daily", "until": "2020-01-01"}, ""),
        ("until", {"repeats": "daily", "until": ""}, "does not go on for ever"),
        ("until", {"repeats": "daily", "until": "2199-01-01"}, "more than 10000 times"),
        ("every", {"repeats": "daily", "every": "0"}, "greater than or equal to 1"),
        ("rule", {"repeats": "rule", "rule": "FREQ=DAILY;BYMINUTE=0,5"}, "every 15 minutes"),
        ("expires", {"expires": "2020-01-01T00:00"}, "nobody would get it"),
        ("expires", {"expires": "2030-03-04T08:00"}, "This is before it is sent"),
        ("expires", {"expires": "2030-03-04T08:00", "repeats": "weekly"}, "before it is sent"),
        ("users", {"users": ["everybody"]}, "is not a user"),
        ("groups", {"groups": ["9" * 30]}, "is not a group"),
        ("__all__", {"users": []}, "This would reach nobody."),
    ],
)
def test_what_can_not_be_is_said_and_nothing_is_saved(office, user, field, values, text):
    recurring = {"when": "recurring", "until": "2031-01-01"} if "repeats" in values else {}
    found = errors(office.post(ADD, timed(user, **recurring) | values))
    assert list(found) == [field]
    assert text in found[field][0]
    assert not Reminder.objects.exists()


def test_a_time_that_has_passed_is_sent_now_if_that_is_ticked(send, user):
    response = send(ADD, timed(user, local_at="2020-01-01T09:00", send_if_past="on"))
    assert said(response) == ["Sent to 1 person."]
    assert Reminder.objects.get().state == State.SENT


def test_a_time_that_has_passed_for_some_readers_is_told(office, user, settings):
    settings.TIME_ZONE = "UTC"
    Preference.objects.create(user=user, time_zone="Pacific/Kiritimati")
    soon = recurrence.to_text((timezone.now() + timedelta(hours=1)).replace(tzinfo=None))
    found = errors(office.post(ADD, timed(user, zone="", local_at=soon)))
    assert "has passed in Pacific/Kiritimati already" in found["local_at"][0]


def test_send_now_does_not_look_at_the_time(send, user):
    send(ADD, timed(user, press="send", local_at="nonsense"))
    assert Reminder.objects.get().state == State.SENT


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("title", {"title": " "}),
        ("title", {"title": "x" * 201}),
        ("text", {"text": "x" * 10_001}),
        ("text", {"text": "x" * 1_000_000}),
        ("level", {"level": "shout"}),
        ("link", {"link": "javascript:alert(1)"}),
        ("link", {"link": "//example.org"}),
    ],
)
@pytest.mark.parametrize("press", ["draft", "send", "test"])
def test_a_wrong_field_is_named_whatever_was_pressed(office, user, press, field, values):
    found = errors(office.post(ADD, form(user, press=press) | values))
    assert list(found) == [field]
    assert not Reminder.objects.exists()


def test_a_reminder_too_large_for_the_transport_is_a_form_error(office, user, settings):
    settings.NOTIFICATIONS_MESSAGE_MAX_BYTES = 1024
    found = errors(office.post(ADD, form(user, text="x" * 1100)))
    assert found["__all__"] == ["This reminder is too large to be sent. Shorten the text."]


def test_a_line_break_is_one_character(send, user):
    assert send(ADD, form(user, text="a\r\n" + "x" * 9_998)).status_code == 302
    assert Reminder.objects.get().text == "a\n" + "x" * 9_998


def test_someone_who_is_not_active_can_not_be_chosen(office, user):
    gone = User.objects.create(username="gone", is_active=False)
    found = errors(office.post(ADD, form(user, gone)))
    assert found["users"] == [f"{gone.pk} is not an active user. Choose the users again."]


def test_a_time_by_which_it_has_expired_for_some_readers_is_told(office, user, settings):
    settings.TIME_ZONE = "UTC"
    Preference.objects.create(user=user, time_zone="America/New_York")
    found = errors(office.post(ADD, timed(user, zone="", expires="2030-03-04T12:00")))
    assert found["expires"] == [
        "This is before it is sent in America/New_York: nobody there would get it."
    ]


def test_markup_is_text_wherever_it_is_shown(send, office, user):
    send(ADD, form(user, title="<script>x</script>", text="<b>bold</b>"))
    reminder = Reminder.objects.get()
    assert (reminder.title, reminder.text) == ("<script>x</script>", "<b>bold</b>")
    for url in (LIST, page_of(reminder), f"{LIST}{reminder.pk}/delete/"):
        html = office.get(url).content.decode()
        assert "&lt;script&gt;x" in html
        assert "<script>x" not in html and "<b>bold" not in html


# --- Changing -------------------------------------------------------------------------------------


def test_a_scheduled_one_is_moved_and_made_a_draft_again(send, user):
    send(ADD, timed(user))
    reminder = Reminder.objects.get()
    send(page_of(reminder), timed(user, seen=0, local_at="2030-03-05T09:00"))
    assert [row.local for row in Occurrence.objects.all()] == ["2030-03-05T09:00"]
    send(page_of(reminder), timed(user, press="draft", seen=1))
    reminder.refresh_from_db()
    assert (reminder.state, reminder.version) == (State.DRAFT, 2)
    assert not Occurrence.objects.exists()


def test_of_two_who_change_it_the_later_one_is_told(send, office, user):
    send(ADD, form(user, press="draft"))
    reminder = Reminder.objects.get()
    send(page_of(reminder), form(user, press="draft", seen=0, title="First"))
    response = office.post(page_of(reminder), form(user, press="send", seen=0, title="Second"))
    assert "Somebody else has changed this reminder" in errors(response)["__all__"][0]
    reminder.refresh_from_db()
    assert (reminder.title, reminder.state) == ("First", State.DRAFT)
    # It stays so however often it is sent off.
    again = response.context["adminform"].form["seen"].value()
    assert errors(office.post(page_of(reminder), form(user, seen=again)))


def test_what_was_sent_is_not_changed(send, office, user):
    send(ADD, form(user))
    reminder = Reminder.objects.get()
    assert not office.get(page_of(reminder)).context["adminform"].form.fields
    response = office.post(page_of(reminder), form(user, title="Changed"))
    assert said(response) == ["This reminder can't be changed any more. Duplicate it instead."]
    reminder.refresh_from_db()
    assert reminder.title == "Backup"
    assert Delivery.objects.count() == 1


def test_what_beat_has_begun_to_send_since_is_not_changed(office, user, monkeypatch):
    reminder = Reminder.objects.create(title="Backup", state=State.SCHEDULED)
    check = ReminderForm._check_version

    def begun(self):
        Reminder.objects.filter(pk=reminder.pk).update(state=State.SENDING)
        check(self)

    monkeypatch.setattr(ReminderForm, "_check_version", begun)
    response = office.post(page_of(reminder), form(user, press="draft", seen=0))
    assert "or it was sent" in errors(response)["__all__"][0]
    assert Reminder.objects.get().state == State.SENDING


def test_more_users_than_a_form_can_send_stay_as_code_has_chosen_them(send, office, monkeypatch):
    monkeypatch.setattr("notifications.reminders.admin.page.USERS_MAX", 2)
    users = User.objects.bulk_create(User(username=f"u{n}") for n in range(3))
    reminder = Reminder.objects.create(title="Many")
    reminder.users.set(users)
    html = office.get(page_of(reminder)).content.decode()
    assert "3 users" in html
    assert "select2" not in html.partition("field-users_text")[2].partition("field-groups")[0]
    preview = office.post(f"{LIST}{reminder.pk}/preview/", form()).json()
    assert preview["count"] == 3
    response = send(page_of(reminder), form(users[0], seen=0, title="Fewer"))
    assert said(response) == ["Sent to 3 people."]
    reminder.refresh_from_db()
    assert (reminder.title, reminder.users.count()) == ("Fewer", 3)


def test_one_that_repeats_is_not_sent_in_between(send, office, user):
    send(ADD, timed(user, when="recurring", repeats="daily"))
    reminder = Reminder.objects.get()
    assert 'name="_send"' not in office.get(page_of(reminder)).content.decode()
    found = errors(office.post(page_of(reminder), form(user, seen=0)))
    assert "This goes on by its rule." in found["__all__"][0]
    reminder.refresh_from_db()
    assert (reminder.state, reminder.rule) == (State.SCHEDULED, "FREQ=DAILY;UNTIL=20310101")


def test_who_changes_one_that_was_sent_and_goes_on_is_told_who_has_it(send, office, user):
    send(ADD, timed(user, when="recurring", repeats="daily"))
    reminder = Reminder.objects.get()
    assert "already, and will see" not in office.get(page_of(reminder)).content.decode()
    for occurrence in ("2020-01-01T09:00", "2020-01-02T09:00"):
        Delivery.objects.create(reminder=reminder, user=user, occurrence=occurrence)
    html = office.get(page_of(reminder)).content.decode()
    assert "1 person has this already, and will see the new text." in html


def test_cancel_stops_what_is_to_come(send, office, user):
    send(ADD, timed(user))
    reminder = Reminder.objects.get()
    send(f"{LIST}{reminder.pk}/cancel/", {})
    reminder.refresh_from_db()
    assert reminder.state == State.CANCELLED
    assert not Occurrence.objects.exists()
    response = send(f"{LIST}{reminder.pk}/cancel/", {})
    assert said(response)[-1].startswith("There is nothing to cancel")


def test_a_duplicate_is_a_draft_for_the_same_people(send, user, friend):
    group = Group.objects.create(name="crew")
    send(ADD, timed(user, friend, groups=[group.pk], acknowledge="on"))
    send(f"{LIST}{Reminder.objects.get().pk}/duplicate/", {})
    copied, first = Reminder.objects.all()
    assert (copied.title, copied.local_at, copied.state) == (
        *(first.title, first.local_at),
        State.DRAFT,
    )
    assert list(copied.groups.all()) == [group]
    assert set(copied.users.all()) == {user, friend}
    assert copied.acknowledge


# --- The preview ----------------------------------------------------------------------------------


WEEKLY = "Every Monday at 09:00, until Jan. 1, 2031, Europe/Berlin. Next: Mon, 4 March 2030, 09:00"


def test_the_preview_counts_names_and_says_when(office, user, friend):
    values = timed(user, friend, when="recurring", repeats="weekly", title="")
    found = office.post(PREVIEW, values).json()
    assert (found["count"], found["people"], found["names"]) == (2, "2 people", ["demo", "friend"])
    assert found["when"].startswith(WEEKLY)
    assert not Reminder.objects.exists()


def test_the_preview_says_what_is_wrong(office, user):
    found = office.post(PREVIEW, timed(user, zone="Mars/Phobos")).json()
    assert (found["count"], found["when"]) == (1, "")
    assert "Mars/Phobos" in found["errors"]["zone"][0]


def test_the_preview_names_ten_and_counts_the_rest(office):
    User.objects.bulk_create(User(username=f"u{n:02}") for n in range(30))
    found = office.post(PREVIEW, form(everyone="on")).json()
    assert (found["count"], len(found["names"]), found["rest"]) == (31, 10, "and 21 more")


def test_the_preview_is_for_those_who_write(user):
    assert Client().post(PREVIEW, form(user)).status_code == 302
    assert staff("view_reminder").post(PREVIEW, form(user)).status_code == 403
    draft = Reminder.objects.create(title="Draft")
    of_draft = f"{LIST}{draft.pk}/preview/"
    writer = staff("add_reminder", username="writer")
    assert writer.get(PREVIEW).status_code == 405
    assert writer.post(of_draft, form(user)).status_code == 403
    changer = staff("change_reminder", username="changer")
    for client, url in ((writer, PREVIEW), (changer, of_draft)):
        found = client.post(url, form(user)).json()
        assert (found["count"], found["names"]) == (1, [])


def test_a_form_that_is_opened_shows_its_audience(send, office, user):
    send(ADD, form(user, press="draft"))
    html = office.get(page_of(Reminder.objects.get())).content.decode()
    assert re.search(r'data-part="people">1 person<.*>: demo<', html)


def test_the_preview_counts_what_a_form_can_not_change(user):
    draft = Reminder.objects.create(title="Draft", everyone=True)
    found = staff("change_reminder").post(f"{LIST}{draft.pk}/preview/", form()).json()
    assert found["count"] == 2  # the other is who asks


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"local_at": "2030-10-27T02:30"}, "show 02:30 twice on Sun, 27 Oct. 2030: the first"),
        ({"local_at": "2030-03-31T02:30"}, "skip 02:30 on this day. Choose 03:30"),
        (
            {"local_at": "2030-01-01T02:30", "when": "recurring", "repeats": "daily"},
            "skip 02:30 on Sun, 31 March 2030: it is sent at 03:30",
        ),
        ({"local_at": "2020-01-01T09:00"}, "This time has passed."),
        ({"local_at": "2020-01-01T09:00", "send_if_past": "on"}, "it is sent at once"),
    ],
)
def test_the_preview_says_what_clocks_do(office, user, values, said):
    found = office.post(PREVIEW, timed(user, **values)).json()
    assert said in found["when"] + " ".join(found["errors"].get("local_at", []))


# --- The report -----------------------------------------------------------------------------------


@pytest.fixture
def asked(send, user, friend):
    """Return a reminder that two people are asked to acknowledge; one has."""
    send(ADD, form(user, friend, acknowledge="on"))
    Delivery.objects.filter(user=user).update(
        read_at=timezone.now(), acknowledged_at=timezone.now()
    )
    return Reminder.objects.get()


def test_the_report_counts_and_names_who_is_missing(office, asked, friend):
    html = office.get(page_of(asked)).content.decode()
    counts = dict(re.findall(r'data-count="(\w+)">(\d+)<', html))
    assert counts == {
        **{"addressed": "2", "delivered": "0", "read": "1", "acknowledged": "1"},
        **{"snoozed": "0", "expired": "0"},
    }
    assert re.search(r"1 person has not acknowledged it: <bdi>friend</bdi>", html)
    assert f"reminder-{asked.pk}:" in html  # the page follows its report


def test_only_those_who_have_not_acknowledged_are_reminded(send, office, asked, friend):
    again_url = f"{LIST}{asked.pk}/again/"
    assert said(send(again_url, {}))[-1] == "Sent to 1 person."
    again = Reminder.objects.latest("pk")
    assert (again.title, again.acknowledge) == (asked.title, True)
    assert [delivery.user for delivery in again.deliveries.all()] == [friend]

    Delivery.objects.update(acknowledged_at=timezone.now())
    assert said(send(again_url, {}))[-1] == "Everybody has acknowledged it."
    assert Reminder.objects.count() == 2


def test_only_those_are_reminded_once_however_often_it_is_pressed(send, office, asked, friend):
    again_url = f"{LIST}{asked.pk}/again/"

    def known():
        return {"newest": office.get(page_of(asked)).context["newest_repeat"]}

    none = known()
    first = send(again_url, none)
    second = send(again_url, none)
    assert second.url == first.url
    assert said(second)[-1] == "Only those were reminded already: by this one."
    assert Delivery.objects.filter(user=friend).count() == 2
    again = Reminder.objects.latest("pk")
    assert page_of(again) in office.get(page_of(asked)).content.decode()
    assert page_of(asked) in office.get(page_of(again)).content.decode()
    # Whoever has seen that one may remind once more, also when it is gone.
    send(again_url, known())
    assert Reminder.objects.filter(repeat_of=asked).count() == 2
    again.delete()
    send(again_url, known())
    assert Reminder.objects.filter(repeat_of=asked).count() == 2


def test_the_report_is_a_table_that_runs_nothing(office, asked, friend):
    friend.first_name = '=HYPERLINK("http://example.org")'
    friend.save()
    response = office.get(f"{LIST}{asked.pk}/export/")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    heads, first, second = csv.reader(response.getvalue().decode("utf-8-sig").splitlines())
    assert heads[:2] == ["User", "Name"]
    assert (first[0], second[0]) == ("demo", "friend")
    assert second[1] == '\'=HYPERLINK("http://example.org")'
    assert first[6] and not second[6]


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", " =1", "＝1", "\r=1", "|x"])
def test_no_cell_is_a_formula(text):
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "anna", "2030-01-01", "a=b", None])
def test_other_cells_stay_as_they_are(text):
    assert safe_cell(text) == (text or "")


def test_the_table_is_read_in_batches(office, asked, monkeypatch):
    monkeypatch.setattr("notifications.reminders.admin.export.ROWS_PER_QUERY", 1)
    parts = list(office.get(f"{LIST}{asked.pk}/export/").streaming_content)
    assert len(parts) == 3


def test_a_report_costs_the_same_however_many_have_it(office, send, asked):
    def cost():
        with CaptureQueriesContext(connection) as captured:
            html = office.get(page_of(asked)).content.decode()
        return len(captured), html

    few, _html = cost()
    users = User.objects.bulk_create(User(username=f"u{n:03}") for n in range(300))
    Delivery.objects.bulk_create(Delivery(reminder=asked, user=user) for user in users)
    many, html = cost()
    assert many == few
    assert "301 people have not acknowledged it" in html
    assert html.count(", u0") < 20  # the first few, not all


def test_a_large_sending_shows_its_job_to_who_may_see_it(office, asked):
    job = Job.objects.create(title="Send “Backup”")
    Reminder.objects.filter(pk=asked.pk).update(job=job.pk)
    assert "<job-progress" in office.get(page_of(asked)).content.decode()
    html = staff("view_reminder").get(page_of(asked)).content.decode()
    assert "<job-progress" not in html


def test_whoever_works_in_the_admin_sees_how_many_reminders_they_have(office, admin):
    assert ">Reminders</a> /" in office.get(LIST).content.decode()
    remind(admin, "For you")
    assert '<a href="/reminders/">Reminders (1)</a>' in office.get(LIST).content.decode()


# --- The lists ------------------------------------------------------------------------------------


def test_the_list_costs_the_same_queries_however_long(send, office, user):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            office.get(LIST)
        return len(captured)

    send(ADD, timed(user, when="recurring", repeats="daily"))
    one = queries()
    for _ in range(5):
        send(ADD, timed(user))
    assert queries() == one


def test_deliveries_are_listed_by_reminder_and_made_by_nobody(office, asked, friend):
    remind(friend, "Another")
    url = "/admin/reminders/delivery/"
    response = office.get(url, {"reminder__id__exact": asked.pk})
    assert response.context["cl"].result_count == 2
    assert office.get(f"{url}add/").status_code == 403
    delivery = asked.deliveries.earliest("pk")
    office.post(f"{url}{delivery.pk}/change/", {"user": friend.pk})
    assert asked.deliveries.filter(user=friend).count() == 1


def test_deleting_a_reminder_takes_its_deliveries_along(office, asked):
    office.post(f"{LIST}{asked.pk}/delete/", {"post": "yes"})
    assert not Reminder.objects.exists()
    assert not Delivery.objects.exists()


def test_what_is_deleted_along_is_counted_and_not_listed(office, asked):
    users = User.objects.bulk_create(User(username=f"u{n}") for n in range(50))
    Delivery.objects.bulk_create(Delivery(reminder=asked, user=user) for user in users)
    with CaptureQueriesContext(connection) as captured:
        html = office.get(f"{LIST}{asked.pk}/delete/").content.decode()
    assert len(captured) < 10
    assert "Deliveries: 52" in html and "u49" not in html
    selected = {"action": "delete_selected", "_selected_action": [asked.pk]}
    assert "Deliveries: 52" in office.post(LIST, selected).content.decode()
    client = staff("view_reminder", "delete_reminder")
    html = client.post(f"{LIST}{asked.pk}/delete/", {"post": "yes"}).content.decode()
    assert Reminder.objects.exists()


# --- Who may --------------------------------------------------------------------------------------


def search(client, term):
    """Return the status of a search for users, and the names that it found."""
    field = {"app_label": "reminders", "model_name": "reminder", "field_name": "users"}
    response = client.get("/admin/autocomplete/", {**field, "term": term})
    found = response.json()["results"] if response.status_code == 200 else []
    return response.status_code, [result["text"] for result in found]


def test_people_are_found_as_one_types_and_only_active_ones(office, user, friend):
    User.objects.create(username="demoted", is_active=False)
    assert search(office, "dem") == (200, ["demo"])


def test_who_may_not_see_users_can_not_search_them(user):
    client = staff("add_reminder")
    assert client.get(ADD).status_code == 200
    assert search(client, "demo") == (403, [])


def test_who_may_not_see_users_and_groups_learns_no_name_from_a_refused_form(office, user):
    group = Group.objects.create(name="crew")
    values = form(user, groups=[group.pk], title="")
    html = staff("add_reminder").post(ADD, values).content.decode()
    assert f"#{user.pk}<" in html
    assert ">demo<" not in html and "crew" not in html
    html = office.post(ADD, values).content.decode()
    assert ">demo<" in html and ">crew<" in html


@pytest.mark.parametrize(
    ("permission", "add", "change"),
    [
        ("add_reminder", 200, 403),
        ("view_reminder", 403, 200),
        ("change_reminder", 403, 200),
        ("view_delivery", 403, 403),
    ],
)
def test_permissions_are_djangos(permission, add, change):
    reminder = Reminder.objects.create(title="Draft")
    client = staff(permission)
    assert client.get(ADD).status_code == add
    assert client.get(page_of(reminder)).status_code == change


def test_everyone_and_filters_need_a_permission_of_their_own(send, user, friend):
    writer = staff("add_reminder", "view_reminder", "change_reminder")
    wide = {"everyone": "on", "filter_joined_before": "2999-01-01", "filter_staff": "on"}
    assert writer.post(PREVIEW, form(**wide)).json()["count"] == 0
    assert "reach nobody" in errors(writer.post(ADD, form(**wide)))["__all__"][0]
    # Not by way of somebody else's draft either.
    draft = Reminder.objects.create(title="Wide", everyone=True)
    found = errors(writer.post(page_of(draft), form(user, seen=0)))
    assert "You may not send to everyone" in found["__all__"][0]
    assert not Delivery.objects.exists()

    boss = staff("add_reminder", "view_reminder", "send_to_everyone", username="boss")
    assert said(send(ADD, form(everyone="on"), boss)) == ["Sent to 5 people."]


@pytest.mark.parametrize("action", ["cancel", "again", "duplicate", "export"])
def test_actions_are_refused_without_the_permission(office, asked, action):
    url = f"{LIST}{asked.pk}/{action}/"
    Reminder.objects.filter(pk=asked.pk).update(state=State.SCHEDULED)
    before = Reminder.objects.count()
    assert Client().post(url).status_code == 302
    client = staff("view_reminder")
    assert client.post(url).status_code == 403
    assert Reminder.objects.count() == before
    assert Reminder.objects.get().state == State.SCHEDULED
    if action != "export":
        assert office.get(url).status_code == 405
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(User.objects.get(username="admin"))
        assert strict.post(url).status_code == 403
    assert office.post(f"{LIST}999999/{action}/").status_code == 404


def test_who_may_only_look_can_not_change_or_test(user):
    draft = Reminder.objects.create(title="Draft")
    client = staff("view_reminder")
    for press in ("draft", "schedule", "send", "test"):
        assert client.post(page_of(draft), form(user, press=press, seen=0)).status_code == 403
    assert not Delivery.objects.exists()


def test_who_may_only_write_is_not_led_to_what_they_may_not_see(send, user):
    response = send(ADD, form(user), staff("add_reminder"))
    assert response.url == "/admin/"


def test_the_report_of_who_needs_the_permission_for_deliveries(asked):
    html = staff("view_reminder").get(page_of(asked)).content.decode()
    assert "1 person has not acknowledged it" in html
    assert "friend" not in html
    assert "export" not in html


def test_someone_without_the_staff_mark_is_sent_away(user):
    client = Client()
    client.force_login(user)
    assert client.post(ADD, form(user)).status_code == 302
    assert not Reminder.objects.exists()


def test_the_pages_have_no_inline_script_or_style(send, office, user, asked):
    draft = Reminder.objects.create(title="Draft")
    for url in (ADD, page_of(draft), page_of(asked)):
        html = office.get(url).content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", html)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", html)


def test_the_report_says_that_what_is_read_is_removed(send, office, user, settings):
    settings.NOTIFICATIONS_REMINDER_RETENTION_DAYS = 1  # two are the least
    send(ADD, form(user))
    said = "What people have read is removed after 2 days"
    url = page_of(Reminder.objects.get())
    assert said not in office.get(url).content.decode()
    Reminder.objects.update(created=timezone.now() - timedelta(days=3))
    assert said in office.get(url).content.decode()
