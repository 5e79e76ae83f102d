"""remind(): what it takes, when it sends, and that a key makes sure of one."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from notifications import reminders, storage
from notifications.channels import user_channel
from notifications.reminders import api, reading, report
from notifications.reminders.models import Delivery, Occurrence, Reminder

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("live_redis")]

State = Reminder.State


@pytest.fixture
def user():
    return User.objects.create(username="demo")


@pytest.fixture
def friend():
    return User.objects.create(username="friend")


@pytest.fixture
def committed(django_capture_on_commit_callbacks):
    """Run a block as a transaction of its own, and afterwards what waits for its commit."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


def told(user):
    log = storage.read(user_channel(user), 1).log
    return [json.loads(message.data)["title"] for message in log if message.type == "reminder"]


def in_hours(hours):
    """Return a whole minute so many hours from now."""
    return timezone.now().replace(second=0, microsecond=0) + timedelta(hours=hours)


def test_one_line_reminds_somebody(committed, user):
    with committed():
        reminder = reminders.remind(user, "The import is through", link="/jobs/", by=user)
        assert told(user) == []
    assert told(user) == ["The import is through"]
    reminder.refresh_from_db()
    assert (reminder.state, reminder.link, reminder.created_by) == (State.SENT, "/jobs/", user)


@pytest.mark.parametrize(
    "people",
    [
        lambda: User.objects.all(),
        lambda: User.objects.order_by("username"),
        lambda: list(User.objects.all()),
        lambda: [user.pk for user in User.objects.all()] * 2,
        lambda: (user for user in User.objects.all()),
        lambda: [AnonymousUser(), User(username="unsaved"), 999_999, *User.objects.all()],
    ],
)
def test_people_are_users_or_keys_in_any_number(committed, user, friend, people):
    with committed():
        reminders.remind(people(), "Backup")
    assert told(user) == told(friend) == ["Backup"]
    assert Delivery.objects.count() == 2


def test_more_people_than_a_query_takes_are_all_addressed(committed, user, friend, monkeypatch):
    monkeypatch.setattr(api, "USERS_PER_QUERY", 1)
    with committed():
        reminder = reminders.remind([user, None, friend], "Backup")
    assert reminder.users.count() == 2


def test_nobody_is_no_error(committed):
    with committed():
        reminder = reminders.remind([], "Backup")
    reminder.refresh_from_db()
    assert reminder.state == State.SENT


def test_a_rolled_back_transaction_has_reminded_nobody(committed, user):
    with committed(), pytest.raises(ZeroDivisionError), transaction.atomic():
        reminders.remind(user, "Backup", idempotency_key="one")
        raise ZeroDivisionError
    assert told(user) == []
    assert not Reminder.objects.exists()
    with committed():
        reminders.remind(user, "Backup", idempotency_key="one")
    assert told(user) == ["Backup"], "the key is free again"


def test_a_key_makes_sure_of_one(committed, user, friend):
    with committed():
        first = reminders.remind(user, "First", idempotency_key=7)
        second = reminders.remind(friend, "Second", idempotency_key="7")
    assert first == second
    assert told(user) == ["First"]
    assert told(friend) == []


def test_without_a_key_each_call_is_one_more(committed, user):
    with committed():
        reminders.remind(user, "Backup")
        reminders.remind(user, "Backup")
    assert told(user) == ["Backup", "Backup"]


def test_a_moment_is_kept_as_a_time_on_some_clock(user):
    at = in_hours(3)
    reminder = reminders.remind(user, "Backup", at=at)
    assert reminder.state == State.SCHEDULED
    assert (reminder.local_at, reminder.zone) == (at.strftime("%Y-%m-%dT%H:%M"), "UTC")
    assert Occurrence.objects.get().due == at
    berlin = reminders.remind(user, "Backup", at=at, zone="Europe/Berlin")
    assert berlin.zone == "Europe/Berlin"
    assert berlin.occurrences.get().due == at
    assert not Delivery.objects.exists()


def test_seconds_are_rounded_up_for_nobody_is_reminded_too_early(user):
    at = in_hours(3) + timedelta(seconds=1)
    reminder = reminders.remind(user, "Backup", at=at)
    assert reminder.occurrences.get().due == in_hours(3) + timedelta(minutes=1)


def test_the_second_of_two_times_that_look_the_same_is_that_moment(user):
    year = timezone.now().year + 1
    # Of the last Sunday of October, when Berlin's clocks are put back at 01:00 UTC.
    day = max(d for d in range(25, 32) if datetime(year, 10, d, tzinfo=UTC).weekday() == 6)
    for hour in (0, 1):
        at = datetime(year, 10, day, hour, 30, tzinfo=UTC)
        reminder = reminders.remind(user, "Backup", at=at, zone="Europe/Berlin")
        assert reminder.occurrences.get().due == at


def test_a_naive_time_is_on_the_clocks_of_the_zone_or_of_each_reader(user):
    at = in_hours(48).replace(tzinfo=None)
    fixed = reminders.remind(user, "Backup", at=at, zone="America/New_York")
    own = reminders.remind(user, "Backup", at=at)
    assert fixed.occurrences.get().due - at.replace(tzinfo=UTC) in (
        timedelta(hours=4),
        timedelta(hours=5),
    )
    assert (own.zone, own.occurrences.get().due) == ("", at.replace(tzinfo=UTC))


def test_where_readers_differ_it_may_expire_as_soon_as_the_first_have_it(user):
    at = in_hours(48)
    reminder = reminders.remind(
        user, "Backup", at=at.replace(tzinfo=None), expires=at + timedelta(hours=1)
    )
    assert reminder.state == State.SCHEDULED


def test_a_rule_repeats_from_its_first_time(user):
    reminder = reminders.remind(
        user, "Backup", at=in_hours(1), zone="Europe/Berlin", rule="FREQ=DAILY;COUNT=9"
    )
    assert (reminder.rule, reminder.state) == ("FREQ=DAILY;COUNT=9", State.SCHEDULED)
    assert reminder.occurrences.get().due == in_hours(1)


def test_a_moment_that_has_just_passed_is_not_refused(user):
    reminders.remind(user, "Backup", at=timezone.now() - timedelta(seconds=5))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("title", {"title": ""}),
        ("title", {"title": "x" * 201}),
        ("title", {"title": "a\0b"}),
        ("text", {"text": "x" * 1_000_000}),
        ("text", {"text": "a\0b"}),
        ("text", {"text": "\ud800"}),
        ("level", {"level": "shout"}),
        ("link", {"link": "javascript:alert(1)"}),
        ("idempotency_key", {"idempotency_key": "x" * 201}),
        ("idempotency_key", {"idempotency_key": ""}),
        ("idempotency_key", {"idempotency_key": "a\0b"}),
        ("text", {"text": None}),
        ("link", {"link": None}),
        ("at", {"at": "tomorrow"}),
        ("at", {"at": datetime(9999, 12, 31, 23, 59, 30, tzinfo=UTC)}),
        ("at", {"at": datetime(1, 1, 1)}),  # noqa: DTZ001
        ("expires", {"expires": datetime(2060, 1, 1)}),  # noqa: DTZ001
        ("expires", {"expires": date(2060, 1, 1)}),
        ("zone", {"zone": 5}),
        ("users", {"users": [Group(pk=1)]}),
        ("users", {"users": "demo"}),
        ("users", {"users": [2**70]}),
        ("at", {"at": datetime(2020, 1, 1, tzinfo=UTC)}),
        ("at", {"at": datetime(2020, 1, 1)}),  # noqa: DTZ001 - naive is meant
        ("at", {"rule": "FREQ=DAILY"}),
        ("zone", {"at": datetime(2060, 1, 1), "zone": "Mars/Olympus"}),  # noqa: DTZ001
        ("zone", {"zone": "Mars/Olympus"}),
        ("rule", {"at": datetime(2060, 1, 1, tzinfo=UTC), "rule": "FREQ=SECONDLY"}),
        ("rule", {"at": datetime(2060, 1, 1, tzinfo=UTC), "rule": "garbage"}),
        ("rule", {"at": datetime(2060, 1, 1, tzinfo=UTC), "rule": "FREQ=DAILY"}),
        ("expires", {"expires": datetime(2020, 1, 1, tzinfo=UTC)}),
        (
            "expires",
            {"at": datetime(2060, 1, 2, tzinfo=UTC), "expires": datetime(2060, 1, 1, tzinfo=UTC)},
        ),
    ],
)
def test_what_can_not_be_is_refused_at_its_field_and_nothing_is_kept(user, field, values):
    with pytest.raises(ValidationError) as caught:
        reminders.remind(**{"users": user, "title": "Backup", **values})
    assert list(caught.value.message_dict) == [field]
    assert not Reminder.objects.exists()


def test_markup_is_text_like_any_other(committed, user):
    markup = "<script>alert(1)</script> & {{ 7 }}"
    with committed():
        reminder = reminders.remind(user, markup, markup)
    assert told(user) == [markup]
    assert reminder.text == markup


def test_a_test_goes_to_oneself_and_leaves_the_draft_alone(committed, user, friend):
    draft = Reminder.objects.create(title="x" * 200, text="Tonight.", everyone=True)
    with committed():
        test = api.send_test(draft, user)
    [title] = told(user)
    assert title.startswith("Test: xxx")
    assert test.text == "Tonight."
    assert told(friend) == []
    draft.refresh_from_db()
    assert draft.state == State.DRAFT
    assert not draft.deliveries.exists()


def test_once_more_goes_to_those_who_have_not_acknowledged(committed, user, friend):
    with committed():
        reminder = reminders.remind([user, friend], "Backup", acknowledge=True)
    Delivery.objects.filter(user=user).update(acknowledged_at=timezone.now())
    with committed():
        again = api.remind_again(reminder, user)
    assert again.acknowledge
    assert again.repeat_of == reminder
    assert (len(told(user)), len(told(friend))) == (1, 2)
    with committed():
        third = api.remind_again(again, user, "once")
        assert api.remind_again(again, user, "once") == third
    assert third.repeat_of == reminder
    assert len(told(friend)) == 3
    reading.acknowledge(friend, [Delivery.objects.get(reminder=third).pk])
    assert not report.not_acknowledged(reminder).exists()


def test_a_slice_of_users_and_the_keys_of_other_rows_are_users_too(committed, user, friend):
    Group.objects.create(name="staff").user_set.add(friend)
    with committed():
        reminders.remind(User.objects.order_by("-pk")[:1], "The newest")
        members = User.groups.through.objects.values_list("user_id", flat=True)
        reminders.remind(members, "Members")
        with pytest.raises(ValidationError, match="not a group"):
            reminders.remind(Group.objects.all(), "Groups")
    assert (told(user), told(friend)) == ([], ["The newest", "Members"])
