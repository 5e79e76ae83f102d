"""Who gets a reminder, what is said on whose channel, and when."""

import json
from datetime import datetime

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from notifications import reminders, storage
from notifications.channels import user_channel
from notifications.exceptions import MessageTooLarge
from notifications.reminders import delivery
from notifications.reminders.models import Delivery, Reminder

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("live_redis")]


@pytest.fixture
def user():
    return User.objects.create(username="demo")


@pytest.fixture
def friend():
    return User.objects.create(username="friend")


@pytest.fixture
def reminder():
    return Reminder.objects.create(
        title="Backup", text="Log out\nby 22:00.", level="warning", link="/jobs/"
    )


@pytest.fixture
def committed(django_capture_on_commit_callbacks):
    """Run a block as a transaction of its own, and afterwards what waits for its commit."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


def said(user):
    """Return what was said on the user's channel, in order."""
    log = storage.read(user_channel(user), 1).log
    return [(message.type, json.loads(message.data)) for message in log]


def send(committed, reminder, *users):
    with committed():
        return reminders.deliver(reminder, users)


def test_each_recipient_gets_a_delivery_and_its_message(committed, reminder, user, friend):
    new = send(committed, reminder, user, friend)
    assert {delivery.user_id for delivery in new} == {user.pk, friend.pk}
    for delivery_ in Delivery.objects.all():
        [(type, data)] = said(delivery_.user)
        sent = datetime.fromisoformat(data.pop("sent"))
        assert type == "reminder"
        assert data == {
            "id": delivery_.pk,
            "title": "Backup",
            "text": "Log out\nby 22:00.",
            "level": "warning",
            "link": "/jobs/",
            "expires": None,
            "acknowledge": False,
        }
        assert abs(sent - delivery_.created).total_seconds() < 0.001


def test_nothing_is_said_before_the_commit(committed, reminder, user):
    with committed():
        reminders.deliver(reminder, [user])
        assert said(user) == []
    assert len(said(user)) == 1


def test_a_rolled_back_delivery_is_never_announced(committed, reminder, user):
    with committed(), pytest.raises(ZeroDivisionError), transaction.atomic():
        reminders.deliver(reminder, [user])
        raise ZeroDivisionError
    assert said(user) == []
    assert not Delivery.objects.exists()


def test_delivering_twice_sends_once(committed, reminder, user, friend):
    send(committed, reminder, user)
    [new] = send(committed, reminder, user, friend)
    assert new.user_id == friend.pk
    assert len(said(user)) == len(said(friend)) == 1


def test_a_person_named_twice_gets_one(committed, reminder, user):
    assert len(send(committed, reminder, user, user)) == 1
    assert len(said(user)) == 1


def test_only_active_users_get_it(committed, reminder, user):
    # What counts is the row, not an object that was read before.
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert send(committed, reminder, user, AnonymousUser(), User(username="unsaved")) == []
    assert not Delivery.objects.exists()
    assert said(user) == []


def test_recipients_may_be_a_queryset(committed, reminder, user, friend):
    with committed():
        assert len(reminders.deliver(reminder, User.objects.all())) == 2


def test_the_cost_in_queries_does_not_grow_with_the_recipients(committed, reminder, user):
    many = User.objects.bulk_create(User(username=f"user-{n}") for n in range(30))
    with CaptureQueriesContext(connection) as one, committed():
        reminders.deliver(reminder, [user])
    with CaptureQueriesContext(connection) as thirty, committed():
        reminders.deliver(reminder, many)
    assert len(thirty) == len(one)


def test_more_recipients_than_a_query_takes_all_get_it(committed, reminder, monkeypatch):
    monkeypatch.setattr(delivery, "USERS_PER_QUERY", 4)
    many = User.objects.bulk_create(User(username=f"user-{n}") for n in range(9))
    assert len(send(committed, reminder, *many)) == 9
    assert send(committed, reminder, *many) == []


def test_a_reminder_that_was_deleted_is_delivered_to_nobody(committed, reminder, user):
    Reminder.objects.all().delete()
    with pytest.raises(Reminder.DoesNotExist):
        send(committed, reminder, user)
    assert said(user) == []


def test_a_text_over_the_limit_is_delivered_to_nobody(committed, user):
    reminder = Reminder.objects.create(title="Backup", text="x" * 70_000)
    with pytest.raises(MessageTooLarge):
        send(committed, reminder, user)
    assert not Delivery.objects.exists()


def test_redis_away_keeps_the_delivery(committed, reminder, user, live_redis):
    live_redis.kill()
    assert len(send(committed, reminder, user)) == 1
    assert Delivery.objects.filter(user=user).exists()
