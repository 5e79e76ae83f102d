"""Read, unread, snoozed, acknowledged, awake again, expired: who may, what is told, and once."""

import json
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from notifications import reminders, storage
from notifications.channels import user_channel
from notifications.reminders import reading
from notifications.reminders.models import Delivery, Reminder

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("live_redis")]

HOUR = timedelta(hours=1)


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


def give(user, count=1, *, acknowledge=False, **values):
    """Give ``user`` some reminders; return their ids, newest first."""
    made = [
        Delivery.objects.create(
            user=user,
            reminder=Reminder.objects.create(title=f"Note {n}", acknowledge=acknowledge),
            **values,
        ).pk
        for n in range(count)
    ]
    return made[::-1]


def said(user):
    """Return what was said on the user's channel, in order."""
    log = storage.read(user_channel(user), 1).log
    return [(message.type, json.loads(message.data)) for message in log]


def state(pks, name, **more):
    return ("reminder-state", {"ids": pks, "state": name, **more})


def fields(pk, *names):
    return Delivery.objects.values_list(*names).get(pk=pk)


def test_marking_one_read_leaves_the_others_and_says_which(committed, user):
    second, first = give(user, 2)
    before = timezone.now()
    with committed():
        assert reminders.mark_read(user, [first]) == [first]
        assert said(user) == []
    assert said(user) == [state([first], "read")]
    read_at, delivered_at = fields(first, "read_at", "delivered_at")
    assert before <= read_at <= timezone.now()
    assert delivered_at == read_at, "what was read has been seen"
    assert fields(second, "read_at") == (None,)


def test_marking_all_read_is_one_message_with_the_newest_first(committed, user):
    pks = give(user, 3)
    with committed():
        reminders.mark_read(user)
    assert said(user) == [state(pks, "read")]
    assert not Delivery.objects.unread().exists()


def test_marking_all_read_leaves_what_is_not_to_be_seen(committed, user):
    now = timezone.now()
    [shown], [snoozed], [expired] = (
        give(user),
        give(user, snoozed_until=now + HOUR),
        give(user, expires=now - HOUR),
    )
    with committed():
        assert reminders.mark_read(user) == [shown]
    with committed():
        assert reminders.mark_read(user, [snoozed, expired]) == [expired, snoozed]
    assert fields(snoozed, "snoozed_until") == (None,)


def test_marking_read_again_changes_and_says_nothing(committed, user):
    [pk] = give(user)
    with committed():
        reminders.mark_read(user)
    before = fields(pk, "read_at")
    with committed():
        assert reminders.mark_read(user) == reminders.mark_read(user, [pk]) == []
    assert fields(pk, "read_at") == before
    assert len(said(user)) == 1


@pytest.mark.parametrize(
    "change",
    [
        reading.mark_read,
        reading.mark_unread,
        reading.acknowledge,
        reading.mark_delivered,
        lambda user, ids: reading.snooze(user, ids, timezone.now() + HOUR),
    ],
)
def test_nobody_changes_what_is_not_their_own(committed, user, friend, change):
    [unread] = give(friend, acknowledge=True)
    [read] = give(friend, read_at=timezone.now())
    before = list(Delivery.objects.values())
    with committed():
        assert change(user, [unread, read, 999]) == []
    assert list(Delivery.objects.values()) == before
    assert said(user) == said(friend) == []


def test_no_ids_are_not_all_ids(committed, user):
    give(user)
    with committed():
        assert reminders.mark_read(user, []) == []
    assert Delivery.objects.unread().count() == 1


def test_marking_read_is_one_update_however_many(committed, user, django_assert_num_queries):
    give(user, 8)
    # A savepoint around the rows that it is about and their update.
    with django_assert_num_queries(4) as queries, committed():
        assert len(reminders.mark_read(user)) == 8
    assert sum(query["sql"].startswith("UPDATE") for query in queries) == 1


def test_a_long_absence_is_told_in_messages_that_fit(committed, user, monkeypatch):
    monkeypatch.setattr(reading, "IDS_PER_MESSAGE", 2)
    monkeypatch.setattr(reading, "IDS_PER_QUERY", 2)
    give(user, 3)
    with committed():
        read = reminders.mark_read(user)
    assert said(user) == [state(read[:2], "read"), state(read[2:], "read")]
    assert not Delivery.objects.unread().exists()


def test_unread_again_ends_a_snooze_too(committed, user):
    now = timezone.now()
    [snoozed], [read], [unread], [expired] = (
        give(user, snoozed_until=now + HOUR),
        give(user, read_at=now),
        give(user),
        give(user, read_at=now, expires=now - HOUR),
    )
    with committed():
        assert reading.mark_unread(user, [read, snoozed, unread, expired]) == [read, snoozed]
    assert said(user) == [state([read, snoozed], "unread")]
    assert fields(snoozed, "snoozed_until", "read_at") == (None, None)
    assert fields(read, "read_at") == (None,)


def test_a_snoozed_one_is_away_until_then_and_comes_back_unread(committed, user):
    [pk] = give(user, read_at=timezone.now())
    now = timezone.now()
    until = now + HOUR
    with committed():
        assert reading.snooze(user, [pk], until) == [pk]
    [(type, data)] = said(user)
    assert (type, data["ids"], data["state"]) == ("reminder-state", [pk], "snoozed")
    assert abs(datetime.fromisoformat(data["until"]) - until) < timedelta(milliseconds=1)
    own = Delivery.objects.of(user).unread()
    assert not own.visible(now).exists()
    assert own.snoozed(now).exists()
    assert own.visible(until).exists()
    assert not own.snoozed(until).exists()
    with committed():
        assert reading.snooze(user, [pk], until) == [], "it is so already"


def test_nothing_is_snoozed_into_the_past(user):
    [pk] = give(user)
    with pytest.raises(ValueError, match="to come"):
        reading.snooze(user, [pk], timezone.now())
    assert fields(pk, "snoozed_until") == (None,)


def test_acknowledging_reads_too_and_only_where_it_was_asked_for(committed, user):
    [asked] = give(user, acknowledge=True, snoozed_until=timezone.now() + HOUR)
    [not_asked] = give(user)
    with committed():
        assert reading.acknowledge(user, [asked, not_asked]) == [asked]
        assert reading.acknowledge(user, [asked]) == []
    assert said(user) == [state([asked], "acknowledged")]
    acknowledged, read, snoozed = fields(asked, "acknowledged_at", "read_at", "snoozed_until")
    assert acknowledged == read is not None
    assert snoozed is None
    assert fields(not_asked, "acknowledged_at", "read_at") == (None, None)


def test_who_acknowledges_one_that_was_sent_again_has_acknowledged_all_of_them(
    committed, user, friend
):
    first, other = give(user, acknowledge=True), give(user, acknowledge=True)
    [theirs] = give(friend, acknowledge=True)
    root = Delivery.objects.get(pk=first[0]).reminder
    again, once_more = (give(user, acknowledge=True) for _ in range(2))
    repeats = Reminder.objects.filter(deliveries__in=[*again, *once_more, theirs])
    Reminder.objects.filter(pk__in=repeats.values("pk")).update(repeat_of=root)
    with committed():
        touched = reading.acknowledge(user, again)
    assert touched == [*once_more, *again, *first]
    assert said(user)[-1][1]["ids"] == touched
    open_ones = Delivery.objects.filter(acknowledged_at=None)
    assert set(open_ones.values_list("pk", flat=True)) == {*other, theirs}


def test_each_occurrence_of_a_rule_is_acknowledged_by_itself(user):
    reminder = Reminder.objects.create(title="Daily", acknowledge=True)
    monday, tuesday = (
        Delivery.objects.create(user=user, reminder=reminder, occurrence=local).pk
        for local in ("2026-11-23T09:00", "2026-11-24T09:00")
    )
    assert reading.acknowledge(user, [monday]) == [monday]
    assert reading.acknowledge(user, [tuesday]) == [tuesday]


def test_acknowledging_keeps_when_it_was_read(committed, user):
    before = timezone.now() - HOUR
    [pk] = give(user, acknowledge=True, read_at=before, delivered_at=before)
    with committed():
        reading.acknowledge(user, [pk])
    assert fields(pk, "read_at", "delivered_at") == (before, before)


def test_a_receipt_counts_once_and_tells_the_person_nothing(committed, user):
    pks = give(user, 2)
    with committed():
        assert reading.mark_delivered(user, pks) == pks
        assert reading.mark_delivered(user, pks) == []
    assert said(user) == []


def test_a_snooze_that_is_over_is_told_as_a_reminder_that_comes_anew_once(committed, user, friend):
    now = timezone.now()
    [over], [later] = give(user, snoozed_until=now), give(friend, snoozed_until=now + HOUR)
    with committed():
        assert reading.wake(now) == 1
        assert reading.wake(now) == 0
    [(type, data)] = said(user)
    assert (type, data["id"], data["title"]) == ("reminder", over, "Note 0")
    assert abs(datetime.fromisoformat(data["woken"]) - now) < timedelta(milliseconds=1)
    assert said(friend) == []
    assert fields(later, "snoozed_until") == (now + HOUR,)


def test_what_expired_while_it_was_snoozed_does_not_wake(committed, user):
    now = timezone.now()
    [pk] = give(user, snoozed_until=now - HOUR, expires=now - HOUR)
    with committed():
        assert reading.wake(now) == 0
        assert reading.expire(now) == 1
    assert said(user) == [state([pk], "expired")]
    assert fields(pk, "snoozed_until") == (None,)


def test_expiry_is_told_once_and_of_what_was_not_read(committed, user, friend):
    now = timezone.now()
    unread = give(user, 2, expires=now)
    give(friend, read_at=now, expires=now)
    give(friend, expires=now + HOUR)
    with committed():
        assert reading.expire(now) == 3
        assert reading.expire(now) == 0
    [(type, data)] = said(user)
    assert (type, sorted(data["ids"])) == ("reminder-state", sorted(unread))
    assert said(friend) == []


def test_much_that_ends_at_once_is_taken_in_pieces(committed, user):
    now = timezone.now()
    give(user, 3, expires=now)
    give(user, 3, snoozed_until=now)
    with committed():
        assert [reading.expire(now, limit=2) for _ in range(3)] == [2, 1, 0]
        assert [reading.wake(now, limit=2) for _ in range(3)] == [2, 1, 0]


def test_with_nothing_to_end_no_transaction_is_begun(django_assert_num_queries):
    with django_assert_num_queries(2):
        reading.wake(timezone.now())
        reading.expire(timezone.now())


def test_redis_away_keeps_what_a_person_did(committed, user, live_redis):
    live_redis.kill()
    [pk] = give(user)
    with committed():
        assert reminders.mark_read(user) == [pk]
    assert not Delivery.objects.unread().exists()
