"""The report: what is counted, who may read it, and that it is told while somebody watches."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.utils import timezone

from notifications import resets, storage
from notifications.channels import may_read
from notifications.reminders import beat, reading, report
from notifications.reminders.models import Delivery, Reminder
from notifications.storage import live_name
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("live_redis")]

HOUR = timedelta(hours=1)


@pytest.fixture
def reminder():
    return Reminder.objects.create(title="Backup", acknowledge=True)


@pytest.fixture
def committed(django_capture_on_commit_callbacks):
    """Run a block as a transaction of its own, and afterwards what waits for its commit."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def watched(reminder, redis_client):
    """Somebody has the reminder's report open."""
    with redis_client.pubsub() as subscription:
        subscription.subscribe(live_name(report.channel_of(reminder)))
        assert subscription.get_message(timeout=5)["type"] == "subscribe"
        yield


def give(reminder, name, **values):
    user, _ = User.objects.get_or_create(username=name)
    return Delivery.objects.create(reminder=reminder, user=user, **values)


def told(reminder):
    """Return the newest report that was told, if any."""
    latest = storage.latest_values(report.channel_of(reminder))
    return json.loads(latest[report.KEY].data) if latest else None


def test_all_counts_come_from_one_query(reminder, django_assert_num_queries):
    now = timezone.now()
    give(reminder, "new")
    give(reminder, "delivered", delivered_at=now)
    give(reminder, "read", delivered_at=now, read_at=now, expires=now - HOUR)
    give(reminder, "acknowledged", delivered_at=now, read_at=now, acknowledged_at=now)
    give(reminder, "snoozed", snoozed_until=now + HOUR)
    give(reminder, "woken", snoozed_until=now - HOUR)
    give(reminder, "expired", expires=now - HOUR)
    give(Reminder.objects.create(title="Another"), "new", read_at=now)
    with django_assert_num_queries(1):
        assert report.counts(reminder) == {
            "addressed": 7,
            "delivered": 3,
            "read": 2,
            "acknowledged": 1,
            "snoozed": 1,
            "expired": 1,
        }


def test_who_has_not_acknowledged_is_still_there_and_named_once(reminder):
    now = timezone.now()
    give(reminder, "done", acknowledged_at=now)
    give(reminder, "open")
    give(reminder, "open", occurrence="2026-03-05T09:00")
    give(reminder, "gone")
    User.objects.filter(username="gone").update(is_active=False)
    User.objects.create(username="never-had-it")
    assert [user.username for user in report.not_acknowledged(reminder)] == ["open"]


def staff(*permissions, **values):
    user = User.objects.create(username=f"user-{User.objects.count()}", **values)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def test_only_staff_who_may_view_reminders_read_the_report(reminder):
    channel = report.channel_of(reminder)
    assert may_read(staff("view_reminder", is_staff=True), channel)
    for user in (
        None,
        AnonymousUser(),
        staff("view_reminder"),
        staff("change_reminder", is_staff=True),
        staff("view_reminder", is_staff=True, is_active=False),
    ):
        assert not may_read(user, channel)


@pytest.mark.parametrize("rest", ["", "0", "01", "+1", "1 ", "x", "١", "9" * 30, "999999"])
def test_a_channel_of_no_reminder_is_read_by_nobody(rest):
    root = User.objects.create_superuser("root")
    assert not may_read(root, f"reminder-{rest}")


@pytest.mark.usefixtures("watched")
def test_what_people_do_is_told_to_those_who_watch(committed, reminder):
    delivery = give(reminder, "demo")
    before = timezone.now()
    with committed():
        reading.acknowledge(delivery.user, [delivery.pk])
        assert told(reminder) is None
    data = told(reminder)
    assert (data["addressed"], data["read"], data["acknowledged"]) == (1, 1, 1)
    assert data["at"] >= before.isoformat()[:19]


def test_while_nobody_watches_nothing_is_counted(
    committed, reminder, django_assert_num_queries, redis_client
):
    delivery = give(reminder, "demo")
    with django_assert_num_queries(4), committed():
        reading.mark_delivered(delivery.user, [delivery.pk])
    assert told(reminder) is None
    with redis_client.pubsub() as subscription:
        subscription.subscribe(live_name(report.channel_of(reminder)))
        subscription.get_message(timeout=5)
        report.flush()  # as beat does it; whoever comes just after a change misses nothing
    assert told(reminder)["delivered"] == 1


@pytest.mark.usefixtures("watched")
def test_much_at_once_is_told_once_and_the_last_of_it_a_moment_later(
    committed, reminder, redis_client
):
    deliveries = [give(reminder, f"user-{n}") for n in range(5)]
    reports = []
    with redis_client.pubsub() as subscription:
        subscription.subscribe(live_name(report.channel_of(reminder)))
        for delivery in deliveries:
            with committed():
                reading.mark_read(delivery.user)
        wait_until(lambda: (report.flush(), told(reminder)["read"] == 5)[1], 5)
        report.flush()
        while message := subscription.get_message(timeout=0.2):
            reports += [message] if message["type"] == "message" else []
    assert 2 <= len(reports) <= 3


@pytest.mark.usefixtures("watched")
def test_a_flush_with_nothing_to_tell_tells_nothing(reminder):
    report.flush()
    assert told(reminder) is None


def test_redis_away_is_no_error(committed, reminder, live_redis):
    delivery = give(reminder, "demo")
    live_redis.kill()
    with committed():
        reading.mark_read(delivery.user)
    assert Delivery.objects.get().read_at is not None


def test_a_commit_that_has_waited_for_redis_does_not_wait_again_for_its_report(
    committed, reminder, monkeypatch
):
    monkeypatch.setattr(resets, "just_owed", lambda: True)
    monkeypatch.setattr(report, "exchange", None)  # it would be called
    with committed():
        report.changed([reminder.pk])


def test_beat_says_once_that_redis_is_away(reminder, live_redis, caplog):
    rounds = beat.Rounds()
    live_redis.kill()
    for _ in range(3):
        rounds._tell_reports()
    assert caplog.text.count("Reports could not be told") == 1
