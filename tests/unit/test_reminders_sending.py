"""Sending: each person once, whatever happens in between; and what becomes of the reminder."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from notifications import storage
from notifications.channels import user_channel
from notifications.exceptions import MessageTooLarge
from notifications.jobs import JobCancelled
from notifications.jobs.models import Job
from notifications.reminders import claims, delivery, schedule, sending
from notifications.reminders.models import Delivery, Occurrence, Preference, Reminder

# Committed for real, so that what waits for a commit happens when it does.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("live_redis")]

State = Reminder.State


@pytest.fixture
def people():
    return User.objects.bulk_create(User(username=f"user-{n}") for n in range(5))


@pytest.fixture
def reminder(people):
    return Reminder.objects.create(title="Backup", everyone=True)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(delivery, "batch_length", lambda reminder: 2)


def occurrence_of(reminder, **values):
    values = {"due": timezone.now(), "state": "sending", **values}
    return Occurrence.objects.create(reminder=reminder, **values)


def sending_state(reminder):
    Reminder.objects.filter(pk=reminder.pk).update(state=State.SENDING)
    return occurrence_of(reminder)


def batches_of(occurrence):
    return sending._batches(occurrence, sending.addressed(occurrence))


def send(occurrence):
    return sending.send(occurrence, sending.addressed(occurrence))


def told(user):
    """Return the ids of the reminders told to the user, in order."""
    log = storage.read(user_channel(user), 1).log
    return [json.loads(message.data)["id"] for message in log if message.type == "reminder"]


def ids_of(user):
    return list(Delivery.objects.of(user).order_by("pk").values_list("pk", flat=True))


def each_has_it_once(people):
    return all(len(ids_of(user)) == 1 and told(user) == ids_of(user) for user in people)


def test_sent_now_each_has_it_once_and_the_reminder_is_sent(people, reminder):
    before = timezone.now()
    occurrence = sending.send_now(reminder)
    assert each_has_it_once(people)
    assert reminder.state == State.SENT
    assert before <= reminder.sent_at <= timezone.now()
    occurrence.refresh_from_db()
    assert (occurrence.state, occurrence.claimed_until) == ("sent", None)


def test_nothing_is_told_before_the_commit_and_nothing_is_left_of_a_rollback(people, reminder):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        sending.send_now(reminder)
        assert told(people[0]) == []
        raise ZeroDivisionError
    assert not Delivery.objects.exists()
    assert not Occurrence.objects.exists()
    assert not any(told(user) for user in people)
    reminder.refresh_from_db()
    assert reminder.state == State.DRAFT


@pytest.mark.parametrize("state", [State.SENT, State.CANCELLED, State.SENDING])
def test_only_a_draft_or_a_scheduled_one_is_sent_now(people, reminder, state):
    Reminder.objects.filter(pk=reminder.pk).update(state=state)
    with pytest.raises(sending.NotSendable, match="not a draft"):
        sending.send_now(reminder)
    assert not Delivery.objects.exists()


def test_a_scheduled_one_that_is_sent_now_is_not_sent_again_when_it_is_due(people, reminder):
    Reminder.objects.filter(pk=reminder.pk).update(
        state=State.SCHEDULED, local_at="2030-01-01T09:00", rule="FREQ=DAILY"
    )
    occurrence_of(reminder, local="2030-01-01T09:00", zone="UTC", state="due")
    sending.send_now(reminder)
    assert [occurrence.local for occurrence in Occurrence.objects.all()] == [""]
    assert (reminder.local_at, reminder.rule, reminder.state) == ("", "", State.SENT)


def test_an_empty_audience_is_sent_to_nobody_and_done(people):
    reminder = Reminder.objects.create(title="Backup")
    sending.send_now(reminder)
    assert reminder.state == State.SENT
    assert not Delivery.objects.exists()


def test_who_was_deactivated_since_it_was_scheduled_gets_nothing(people):
    reminder = Reminder.objects.create(title="Backup")
    reminder.users.set(people)
    User.objects.filter(pk=people[0].pk).update(is_active=False)
    sending.send_now(reminder)
    assert not ids_of(people[0])
    assert told(people[0]) == []
    assert each_has_it_once(people[1:])


@pytest.mark.usefixtures("small_batches")
def test_who_is_deactivated_between_two_batches_gets_nothing(people, reminder):
    batches = batches_of(sending_state(reminder))
    next(batches)
    User.objects.filter(pk=people[4].pk).update(is_active=False)
    assert list(batches) == [2]
    assert each_has_it_once(people[:4])
    assert not ids_of(people[4])


@pytest.mark.usefixtures("small_batches")
def test_a_run_goes_on_where_one_that_was_killed_has_stopped(people, reminder):
    occurrence = sending_state(reminder)
    next(batches_of(occurrence))  # and never again
    assert Delivery.objects.count() == 2
    assert send(occurrence) == 3
    assert each_has_it_once(people)


@pytest.mark.usefixtures("small_batches")
def test_what_was_committed_and_not_told_is_told_by_the_next_run_once(
    people, reminder, monkeypatch
):
    occurrence = sending_state(reminder)
    batches = batches_of(occurrence)
    next(batches)
    with monkeypatch.context() as patch:
        # As if the process was killed here: after the commit, before its messages.
        patch.setattr("notifications.publishing._publish_committed", _killed)
        with pytest.raises(KeyboardInterrupt):
            next(batches)
    assert Delivery.objects.count() == 4
    assert [len(told(user)) for user in people] == [1, 1, 0, 0, 0]
    send(occurrence)
    assert each_has_it_once(people)


def _killed(items):
    raise KeyboardInterrupt


@pytest.mark.usefixtures("small_batches")
def test_a_run_repeats_nothing_of_what_another_zones_has_told(people, reminder):
    Preference.objects.create(user=people[0], time_zone="Asia/Tokyo")
    local = "2026-03-05T09:00"
    for zone in ("Asia/Tokyo", "UTC"):
        occurrence = occurrence_of(reminder, local=local, zone=zone)
        assert send(occurrence) == (5 if zone == "Asia/Tokyo" else 0)
    Occurrence.objects.filter(zone="UTC").update(state="sending")
    send(Occurrence.objects.get(zone="UTC"))  # as if it had been killed at its end
    assert each_has_it_once(people)


@pytest.mark.usefixtures("small_batches")
def test_of_two_runs_the_earlier_one_stops(people, reminder):
    occurrence = sending_state(reminder)
    slow = batches_of(occurrence)
    next(slow)
    quick = batches_of(occurrence)
    next(quick)
    with pytest.raises(delivery.Superseded):
        next(slow)
    assert list(quick) == [1]
    assert each_has_it_once(people)


@pytest.mark.usefixtures("small_batches")
def test_cancelled_half_way_the_rest_gets_nothing(people, reminder):
    occurrence = sending_state(reminder)
    batches = batches_of(occurrence)
    next(batches)
    Reminder.objects.filter(pk=reminder.pk).update(state=State.CANCELLED)
    with pytest.raises(delivery.Superseded):
        next(batches)
    assert Delivery.objects.count() == 2


@pytest.mark.usefixtures("small_batches")
def test_given_up_by_somebody_else_half_way_the_rest_gets_nothing(people, reminder):
    Reminder.objects.filter(pk=reminder.pk).update(rule="FREQ=DAILY")
    occurrence = sending_state(reminder)
    occurrence_of(reminder, local="2030-01-01T09:00", zone="UTC", state="due")
    batches = batches_of(occurrence)
    next(batches)
    sending.give_up(occurrence)
    with pytest.raises(delivery.Superseded):
        next(batches)
    assert Delivery.objects.count() == 2
    reminder.refresh_from_db()
    assert reminder.state == State.SENDING, "one that repeats goes on with its next occurrence"


@pytest.mark.usefixtures("small_batches")
def test_a_reminder_deleted_half_way_ends_the_sending_quietly(people, reminder):
    occurrence = sending_state(reminder)
    batches = batches_of(occurrence)
    next(batches)
    Reminder.objects.all().delete()
    with pytest.raises(delivery.Superseded):
        next(batches)
    assert send(occurrence) == 0


@pytest.mark.usefixtures("small_batches")
def test_each_batch_keeps_the_claim(people, reminder):
    occurrence = sending_state(reminder)
    batches = batches_of(occurrence)
    for _ in range(2):
        Occurrence.objects.update(claimed_until=timezone.now() - timedelta(hours=1))
        next(batches)
        occurrence.refresh_from_db()
        assert occurrence.claimed_until > timezone.now()


def test_two_occurrences_are_two_and_one_in_two_zones_is_one(people, reminder):
    monday, tuesday = "2026-03-02T09:00", "2026-03-03T09:00"
    for local, zone in ((monday, "UTC"), (monday, "Europe/Berlin"), (tuesday, "UTC")):
        send(occurrence_of(reminder, local=local, zone=zone))
    held = Delivery.objects.filter(user=people[0]).order_by("occurrence")
    assert [delivery.occurrence for delivery in held] == [monday, tuesday]
    assert len(told(people[0])) == 2


def test_in_readers_own_zones_each_has_it_when_it_is_due_there(people, reminder, settings):
    settings.TIME_ZONE = "UTC"
    Preference.objects.create(user=people[0], time_zone="Asia/Tokyo")
    now = timezone.now()
    local = (now + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M")  # has passed in Tokyo alone
    send(occurrence_of(reminder, local=local, zone="Asia/Tokyo"))
    assert [len(ids_of(user)) for user in people] == [1, 0, 0, 0, 0]


def test_after_its_expiry_it_is_sent_to_nobody_and_is_not_called_sent(people, reminder):
    Reminder.objects.update(expires=timezone.now())
    occurrence = sending_state(Reminder.objects.get())
    assert send(occurrence) == 0
    occurrence.refresh_from_db()
    assert occurrence.state == "skipped"
    reminder.refresh_from_db()
    assert (reminder.state, reminder.sent_at) == (State.EXPIRED, None)


def test_one_that_expired_before_its_last_zone_is_sent(people, reminder):
    local, expires = "2026-03-05T09:00", timezone.now()
    first = occurrence_of(reminder, local=local, zone="Asia/Tokyo")
    last = occurrence_of(reminder, local=local, zone="UTC")
    Reminder.objects.update(state=State.SENDING)
    send(first)
    Reminder.objects.update(expires=expires)
    send(Occurrence.objects.select_related("reminder").get(pk=last.pk))
    reminder.refresh_from_db()
    assert reminder.state == State.SENT


def test_a_delivery_expires_with_its_reminder(people, reminder):
    reminder.expires = timezone.now() + timedelta(hours=1)
    reminder.save()
    sending.send_now(reminder)
    assert {row.expires for row in Delivery.objects.all()} == {reminder.expires}


def test_what_the_transport_can_not_carry_is_given_up_and_said(people):
    reminder = Reminder.objects.create(title="Backup", text="x" * 70_000, everyone=True)
    occurrence = sending_state(reminder)
    with pytest.raises(MessageTooLarge):
        sending.start(reminder.pk, "", "")
    occurrence.refresh_from_db()
    reminder.refresh_from_db()
    assert (occurrence.state, reminder.state) == ("skipped", State.CANCELLED)
    assert not Delivery.objects.exists()


def test_redis_away_keeps_the_deliveries_and_the_reminder_is_sent(people, reminder, live_redis):
    live_redis.kill()
    sending.send_now(reminder)
    assert Delivery.objects.count() == 5
    assert reminder.state == State.SENT


def test_a_long_text_makes_smaller_batches():
    lengths = [delivery.batch_length(Reminder(title="x", text="x" * n)) for n in (0, 9_000, 10**6)]
    assert lengths[0] == delivery.BATCH_LENGTH > lengths[1] > lengths[2] == 50


class TestAJob:
    """What more people than fit into a request get is sent by a worker."""

    @pytest.fixture(autouse=True)
    def _few_are_many(self, monkeypatch):
        monkeypatch.setattr(sending, "IN_PLACE", 4)

    @pytest.fixture
    def queued(self, monkeypatch):
        """Take down what is queued, and let nothing reach a broker."""
        sent = []
        monkeypatch.setattr(
            "celery.app.task.Task.apply_async",
            lambda task, args=None, kwargs=None, **options: sent.append((task.name, args)),
        )
        return sent

    def test_is_owned_by_who_sends_it_and_named_after_the_reminder(self, people, reminder, queued):
        with transaction.atomic():
            sending.send_now(reminder, people[0])
            assert queued == []
        [(name, args)] = queued
        assert (name, args) == ("notifications.reminders.send_occurrence", [reminder.pk, "", ""])
        job = Job.objects.get()
        assert (job.owner, job.title) == (people[0], "Send “Backup”")
        assert Reminder.objects.get().job == Occurrence.objects.get().job == job.pk
        assert not Delivery.objects.exists()

    def test_that_goes_on_is_not_queued_again(self, people, reminder, queued):
        sending.send_now(reminder)
        Occurrence.objects.update(claimed_until=timezone.now() - timedelta(hours=1))
        sending.start(reminder.pk, "", "")
        assert len(queued) == 1
        assert Occurrence.objects.get().claimed_until > timezone.now()

    @pytest.mark.parametrize("state", ["lost", "failed"])
    def test_that_has_failed_is_queued_anew(self, people, reminder, queued, state):
        sending.send_now(reminder)
        Job.objects.update(state=state)
        sending.start(reminder.pk, "", "")
        assert len(queued) == 2
        assert Occurrence.objects.get().job == Job.objects.exclude(state=state).get().pk

    def test_that_was_cancelled_before_it_ran_gives_the_sending_up(self, people, reminder, queued):
        sending.send_now(reminder)
        Job.objects.update(state="cancelled")
        sending.start(reminder.pk, "", "")
        reminder.refresh_from_db()
        assert (reminder.state, Occurrence.objects.get().state) == (State.CANCELLED, "skipped")
        assert len(queued) == 1

    @pytest.mark.usefixtures("small_batches")
    def test_that_is_cancelled_half_way_gives_the_rest_up(self, people, reminder, monkeypatch):
        sending_state(reminder)

        def first_two(iterable, *args):
            people = iter(iterable)
            yield next(people)
            yield next(people)
            raise JobCancelled

        monkeypatch.setattr(sending, "track", first_two)
        with pytest.raises(JobCancelled):
            sending.send_occurrence(reminder.pk, "", "")
        reminder.refresh_from_db()
        assert (reminder.state, Occurrence.objects.get().state) == (State.CANCELLED, "skipped")
        assert Delivery.objects.count() == 2

    @pytest.mark.usefixtures("small_batches")
    @pytest.mark.parametrize("end", [schedule.cancel, Reminder.delete])
    def test_ends_as_cancelled_where_its_reminder_is(self, people, reminder, monkeypatch, end):
        sending_state(reminder)

        def then_ends(iterable, *args):
            people = iter(iterable)
            yield next(people)
            end(Reminder.objects.get())
            yield from people

        monkeypatch.setattr(sending, "track", then_ends)
        with pytest.raises(JobCancelled):
            sending.send_occurrence(reminder.pk, "", "")
        assert not Occurrence.objects.exclude(state="skipped").exists()
        assert sum(len(told(user)) for user in people) == 2

    def test_counts_people(self, people, reminder):
        sending_state(reminder)
        assert sending.send_occurrence(reminder.pk, "", "") == {"sent": 5}
        assert each_has_it_once(people)
        assert sending.send_occurrence(reminder.pk, "", "") == {"sent": 0}

    def test_that_can_not_be_queued_is_left_to_beat(self, people, reminder, monkeypatch):
        def refuse(*args, **options):
            raise OperationalError("The broker is away")

        monkeypatch.setattr("celery.app.task.Task.apply_async", refuse)
        sending.send_now(reminder)
        occurrence = Occurrence.objects.get()
        assert occurrence.state == "sending"
        soon = timezone.now() + timedelta(seconds=claims.RETRY_SECONDS + 1)
        assert Occurrence.objects.filter(claims.free(soon)).get() == occurrence

    def test_is_not_queued_where_redis_is_away_but_left_to_beat(
        self, people, reminder, queued, live_redis
    ):
        live_redis.kill()
        sending.send_now(reminder)
        assert queued == []
        soon = timezone.now() + timedelta(seconds=claims.RETRY_SECONDS + 1)
        assert Occurrence.objects.filter(claims.free(soon)).exists()
