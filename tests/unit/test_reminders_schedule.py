"""The schedule: what is due, who sends it, what was missed, and what comes next."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from notifications.reminders import beat, claims, recurrence, retention, schedule, zones
from notifications.reminders.models import Delivery, Occurrence, Preference, Reminder

pytestmark = pytest.mark.django_db(transaction=True)

State = Occurrence.State

MONDAY = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)  # 09:00 in Berlin
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _redis(live_redis):
    pass


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests set: all that the schedule knows of the time."""

    class Clock:
        now = MONDAY

        def __call__(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(timezone, "now", clock)
    return clock


@pytest.fixture
def ada(db):
    return User.objects.create(username="ada")


def make(local="2026-11-23T10:00", zone="Europe/Berlin", rule="", **fields):
    """A scheduled reminder for everyone, laid out."""
    fields = {"title": "Tea", "everyone": True, "state": Reminder.State.SCHEDULED, **fields}
    reminder = Reminder.objects.create(local_at=local, zone=zone, rule=rule, **fields)
    schedule.plan(reminder)
    return reminder


def rows(reminder):
    found = Occurrence.objects.filter(reminder=reminder).order_by("local", "due")
    return [(row.local, row.zone, str(row.state)) for row in found]


def states(reminder):
    return [(local, state) for local, _zone, state in rows(reminder)]


def delivered(user):
    found = Delivery.objects.filter(user=user).order_by("pk")
    return [delivery.occurrence for delivery in found]


def beat_at(clock, now):
    """Let beat do all that there is to do at ``now``."""
    clock.now = now
    rounds = beat.Rounds()
    for _ in range(50):
        if not rounds.round():
            return
    raise AssertionError("beat never comes to rest")


class TestOnce:
    def test_it_is_sent_when_it_is_due_and_not_before(self, ada, clock):
        reminder = make()
        beat_at(clock, MONDAY + HOUR - timedelta(seconds=1))
        assert delivered(ada) == []
        beat_at(clock, MONDAY + HOUR)
        assert delivered(ada) == ["2026-11-23T10:00"]
        reminder.refresh_from_db()
        assert (reminder.state, reminder.sent_at) == (Reminder.State.SENT, MONDAY + HOUR)

    def test_it_is_sent_once(self, ada, clock):
        make()
        for minutes in (60, 61, 3000):
            beat_at(clock, MONDAY + timedelta(minutes=minutes))
        assert delivered(ada) == ["2026-11-23T10:00"]

    def test_it_is_sent_late_where_beat_was_down(self, ada, clock):
        make()
        beat_at(clock, MONDAY + 30 * DAY)
        assert delivered(ada) == ["2026-11-23T10:00"]

    def test_what_expired_meanwhile_is_not_sent(self, ada, clock):
        reminder = make(expires=MONDAY + 2 * HOUR)
        beat_at(clock, MONDAY + 3 * HOUR)
        assert delivered(ada) == []
        assert states(reminder) == [("2026-11-23T10:00", "skipped")]
        reminder.refresh_from_db()
        assert reminder.state == Reminder.State.EXPIRED

    def test_a_time_that_has_passed_is_due_at_once(self, ada, clock):
        make("2026-11-23T07:00")
        beat_at(clock, MONDAY)
        assert delivered(ada) == ["2026-11-23T07:00"]

    def test_a_cancelled_one_is_not_sent(self, ada, clock):
        reminder = make()
        assert schedule.cancel(reminder)
        assert not schedule.cancel(reminder)
        beat_at(clock, MONDAY + DAY)
        assert (delivered(ada), rows(reminder)) == ([], [])

    def test_a_draft_is_not_sent(self, ada, clock):
        reminder = make()
        Reminder.objects.update(state=Reminder.State.DRAFT)
        beat_at(clock, MONDAY + DAY)
        assert delivered(ada) == []
        assert states(reminder) == [("2026-11-23T10:00", "due")]

    def test_another_time_takes_the_place_of_the_first(self, ada, clock):
        reminder = make()
        reminder.local_at = "2026-11-23T12:00"
        reminder.save()
        schedule.plan(reminder)
        assert schedule.next_due(reminder) == MONDAY + 3 * HOUR
        beat_at(clock, MONDAY + DAY)
        assert delivered(ada) == ["2026-11-23T12:00"]

    def test_who_was_deactivated_since_gets_nothing(self, ada, clock):
        make()
        User.objects.update(is_active=False)
        beat_at(clock, MONDAY + DAY)
        assert delivered(ada) == []

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"local": "soon"}, recurrence.InvalidTime),
            ({"zone": "Mars/Olympus"}, recurrence.InvalidZone),
            ({"rule": "FREQ=SECONDLY"}, recurrence.InvalidRule),
            ({"rule": "FREQ=DAILY;UNTIL=20261101"}, recurrence.InvalidRule),
            ({"rule": "FREQ=DAILY", "expires": MONDAY}, recurrence.InvalidRule),
        ],
    )
    def test_what_can_not_be_scheduled_is_refused(self, clock, fields, error):
        with pytest.raises(error):
            make(**fields)
        assert not Occurrence.objects.exists()


class TestRecurring:
    def test_each_occurrence_is_sent_and_the_next_laid_out(self, ada, clock):
        reminder = make(rule="FREQ=DAILY")
        for days in range(3):
            beat_at(clock, MONDAY + HOUR + days * DAY)
        assert delivered(ada) == ["2026-11-23T10:00", "2026-11-24T10:00", "2026-11-25T10:00"]
        assert states(reminder)[-1] == ("2026-11-26T10:00", "due")
        reminder.refresh_from_db()
        assert reminder.state == Reminder.State.SCHEDULED

    def test_it_keeps_its_time_across_the_change_to_summer_time(self, ada, clock):
        clock.now = datetime(2027, 3, 27, 0, 0, tzinfo=UTC)
        make("2027-03-27T10:00", rule="FREQ=DAILY")
        for moment in ((27, 9, 0), (28, 8, 0)):
            day, hour, minute = moment
            before = datetime(2027, 3, day, hour, minute, tzinfo=UTC) - timedelta(seconds=1)
            beat_at(clock, before)
            count = len(delivered(ada))
            beat_at(clock, before + timedelta(seconds=1))
            assert len(delivered(ada)) == count + 1

    def test_of_missed_occurrences_only_the_newest_is_sent(self, ada, clock):
        reminder = make(rule="FREQ=DAILY")
        beat_at(clock, MONDAY + 7 * DAY)
        assert delivered(ada) == ["2026-11-29T10:00"]
        assert states(reminder) == [
            ("2026-11-23T10:00", "skipped"),
            ("2026-11-29T10:00", "sent"),
            ("2026-11-30T10:00", "due"),
        ]

    def test_who_lives_in_another_zone_has_the_newest_alone(self, ada, clock, settings):
        settings.TIME_ZONE = "UTC"
        bob, eve = (User.objects.create(username=name) for name in ("bob", "eve"))
        Preference.objects.create(user=bob, time_zone="Asia/Tokyo")
        Preference.objects.create(user=eve, time_zone="America/New_York")
        make("2026-11-23T09:00", zone="", rule="FREQ=DAILY")
        # As though beat had been away for three days, until 11:00 in Tokyo.
        beat_at(clock, datetime(2026, 11, 27, 2, 0, tzinfo=UTC))
        assert delivered(bob) == ["2026-11-27T09:00"]
        assert delivered(ada) == delivered(eve) == ["2026-11-26T09:00"]

    def test_all_that_was_missed_is_sent_where_the_setting_says_so(self, ada, clock, settings):
        settings.NOTIFICATIONS_REMINDER_CATCH_UP = "all"
        reminder = make(rule="FREQ=DAILY")
        beat_at(clock, MONDAY + 120 * DAY)
        assert len(delivered(ada)) == len(set(delivered(ada))) == 120
        assert delivered(ada) == sorted(delivered(ada))
        assert [state for _local, state in states(reminder)].count("due") == 1

    def test_a_rule_that_has_ended_is_sent(self, ada, clock):
        reminder = make(rule="FREQ=DAILY;COUNT=2")
        beat_at(clock, MONDAY + HOUR)
        beat_at(clock, MONDAY + HOUR + DAY)
        reminder.refresh_from_db()
        assert reminder.state == Reminder.State.SENT
        assert len(delivered(ada)) == 2

    def test_a_changed_rule_makes_up_for_nothing(self, ada, clock):
        reminder = make(rule="FREQ=WEEKLY")
        beat_at(clock, MONDAY + HOUR)
        clock.now = MONDAY + 3 * DAY
        reminder.rule = "FREQ=DAILY"
        reminder.save()
        schedule.plan(reminder)
        beat_at(clock, clock.now)
        assert states(reminder)[1:] == [("2026-11-26T10:00", "due")]

    def test_planned_again_just_after_it_was_sent_it_comes_the_next_day(self, ada, clock):
        reminder = make(rule="FREQ=DAILY")
        beat_at(clock, MONDAY + HOUR)
        clock.now += timedelta(seconds=20)
        schedule.plan(reminder)
        assert states(reminder) == [("2026-11-23T10:00", "sent"), ("2026-11-24T10:00", "due")]

    def test_a_first_time_that_has_just_passed_counts(self, ada, clock):
        clock.now = MONDAY + HOUR + timedelta(seconds=40)
        make(rule="FREQ=DAILY")
        beat_at(clock, clock.now)
        assert delivered(ada) == ["2026-11-23T10:00"]

    def test_an_occurrence_that_was_begun_is_ended_though_a_newer_one_is_due(self, ada, clock):
        reminder = make(rule="FREQ=DAILY")
        clock.now = MONDAY + HOUR
        first = Occurrence.objects.get()
        assert claims.claim(first, clock.now)  # and its sender dies
        beat_at(clock, MONDAY + 2 * DAY)
        assert "2026-11-23T10:00" in delivered(ada)
        assert states(reminder)[0] == ("2026-11-23T10:00", "sent")


class TestClockGoesBack:
    def test_what_was_sent_stays_sent(self, ada, clock):
        reminder = make(rule="FREQ=DAILY")
        beat_at(clock, MONDAY + HOUR + DAY)
        sent = delivered(ada)
        for hours in (0, 1, 24, 25):
            beat_at(clock, MONDAY + timedelta(hours=hours))
        assert delivered(ada) == sent == ["2026-11-24T10:00"]
        beat_at(clock, MONDAY + HOUR + 2 * DAY)
        assert delivered(ada) == [*sent, "2026-11-25T10:00"]
        assert states(reminder)[-1] == ("2026-11-26T10:00", "due")

    def test_a_rule_does_not_end_by_it(self, ada, clock):
        reminder = make(rule="FREQ=DAILY")
        beat_at(clock, MONDAY + HOUR)
        Occurrence.objects.filter(state=State.DUE).delete()  # the next one was not laid out
        beat_at(clock, MONDAY - DAY)
        assert states(reminder)[-1] == ("2026-11-24T10:00", "due")
        reminder.refresh_from_db()
        assert reminder.state == Reminder.State.SCHEDULED

    def test_a_claim_from_the_future_holds_nobody_up(self, ada, clock):
        make()
        assert claims.claim(Occurrence.objects.get(), MONDAY + 300 * DAY)
        beat_at(clock, MONDAY + HOUR)
        assert delivered(ada) == ["2026-11-23T10:00"]


class TestClaims:
    def test_of_two_one_gets_it(self, ada, clock):
        make("2026-11-23T09:00")
        mine, theirs = Occurrence.objects.get(), Occurrence.objects.get()
        assert claims.claim(mine, MONDAY)
        assert not claims.claim(theirs, MONDAY)

    def test_a_claim_that_is_not_renewed_runs_out(self, ada, clock, settings):
        settings.NOTIFICATIONS_REMINDER_CLAIM_SECONDS = 60
        make("2026-11-23T09:00")
        occurrence = Occurrence.objects.get()
        claims.claim(occurrence, MONDAY)
        beat_at(clock, MONDAY + timedelta(seconds=59))
        assert delivered(ada) == []
        claims.renew(occurrence.reminder_id, occurrence.local, occurrence.zone)
        beat_at(clock, MONDAY + timedelta(seconds=118))
        assert delivered(ada) == []
        beat_at(clock, MONDAY + timedelta(seconds=120))
        assert delivered(ada) == ["2026-11-23T09:00"]

    def test_one_that_can_not_be_sent_is_tried_again_and_holds_up_no_other(
        self, ada, clock, monkeypatch, caplog
    ):
        bad = make("2026-11-23T08:59")
        make("2026-11-23T09:00")
        start = schedule.sending.start

        def fail(reminder_id, local, zone):
            if reminder_id == bad.pk:
                raise RuntimeError("no way")
            start(reminder_id, local, zone)

        monkeypatch.setattr(schedule.sending, "start", fail)
        beat_at(clock, MONDAY)
        assert delivered(ada) == ["2026-11-23T09:00"]
        assert "no way" in caplog.text
        monkeypatch.undo()
        monkeypatch.setattr(timezone, "now", clock)
        beat_at(clock, MONDAY + timedelta(seconds=claims.RETRY_SECONDS + 1))
        assert delivered(ada) == ["2026-11-23T09:00", "2026-11-23T08:59"]

    def test_the_next_occurrence_is_laid_out_with_the_claim(self, ada, clock, monkeypatch):
        """Otherwise a crash between the two would end the rule."""
        reminder = make("2026-11-23T09:00", rule="FREQ=DAILY")

        def die(*args):
            raise SystemExit

        monkeypatch.setattr(schedule.sending, "start", die)
        with pytest.raises(SystemExit):
            schedule.send_due(MONDAY)
        assert states(reminder) == [("2026-11-23T09:00", "sending"), ("2026-11-24T09:00", "due")]


class TestOwnZones:
    @pytest.fixture
    def people(self, settings):
        settings.TIME_ZONE = "UTC"
        people = {}
        for name, zone in (
            ("tokyo", "Asia/Tokyo"),
            ("berlin", "Europe/Berlin"),
            ("nowhere", ""),
            ("mars", "Mars/Olympus"),
        ):
            people[name] = User.objects.create(username=name)
            Preference.objects.create(user=people[name], time_zone=zone)
        people["silent"] = User.objects.create(username="silent")
        return people

    def test_each_gets_it_at_that_time_on_their_own_clock(self, people, clock):
        make("2026-11-24T09:00", zone="")
        due = {}
        for hours in range(30):
            beat_at(clock, MONDAY + timedelta(hours=hours))
            for name, user in people.items():
                if delivered(user) and name not in due:
                    due[name] = clock.now.hour
        assert due == {"tokyo": 0, "berlin": 8, "nowhere": 9, "mars": 9, "silent": 9}
        assert Reminder.objects.get().state == Reminder.State.SENT
        assert Delivery.objects.count() == len(people)

    def test_there_is_one_row_for_each_zone(self, people, clock):
        reminder = make("2026-11-24T09:00", zone="", rule="FREQ=DAILY")
        assert {zone for _local, zone, _state in rows(reminder)} == {
            "Asia/Tokyo", "Europe/Berlin", "UTC",
        }  # fmt: skip
        for hours in range(60):
            beat_at(clock, MONDAY + timedelta(hours=hours))
        for user in people.values():
            assert delivered(user) == ["2026-11-24T09:00", "2026-11-25T09:00"]

    def test_who_moves_east_in_between_misses_nothing(self, people, clock):
        make("2026-11-24T09:00", zone="")
        beat_at(clock, MONDAY + 20 * HOUR)  # sent in Tokyo, not yet in Berlin
        Preference.objects.filter(user=people["berlin"]).update(time_zone="Asia/Tokyo")
        beat_at(clock, MONDAY + 30 * HOUR)
        assert delivered(people["berlin"]) == ["2026-11-24T09:00"]

    def test_who_moves_west_in_between_gets_it_once(self, people, clock):
        make("2026-11-24T09:00", zone="")
        beat_at(clock, MONDAY + 20 * HOUR)
        Preference.objects.filter(user=people["tokyo"]).update(time_zone="Europe/Berlin")
        beat_at(clock, MONDAY + 30 * HOUR)
        assert delivered(people["tokyo"]) == ["2026-11-24T09:00"]

    def test_a_zone_that_is_new_among_readers_is_laid_out(self, people, clock):
        reminder = make("2026-11-24T09:00", zone="")
        newcomer = User.objects.create(username="newcomer")
        Preference.objects.create(user=newcomer, time_zone="Pacific/Honolulu")
        beat_at(clock, MONDAY)
        assert "Pacific/Honolulu" in {zone for _local, zone, _state in rows(reminder)}
        beat_at(clock, MONDAY + 34 * HOUR)
        assert delivered(newcomer) == []
        beat_at(clock, MONDAY + 35 * HOUR)
        assert delivered(newcomer) == ["2026-11-24T09:00"]

    def test_a_name_that_no_zone_has_stands_for_the_sites(self, settings):
        settings.TIME_ZONE = "Europe/Berlin"
        assert zones.resolve("Mars/Olympus") == zones.resolve("") == "Europe/Berlin"
        assert zones.resolve("Asia/Tokyo") == "Asia/Tokyo"


class TestLookOver:
    def test_what_was_never_laid_out_is(self, ada, clock):
        reminder = make()
        Occurrence.objects.all().delete()
        beat_at(clock, MONDAY)
        assert states(reminder) == [("2026-11-23T10:00", "due")]

    @pytest.mark.parametrize(
        ("limit", "value", "expected"),
        [("LOOK_OVER_LENGTH", 2, [2, 4, 5, 5]), ("LOOK_OVER_SLICE_SECONDS", -1, [1, 2, 3, 4])],
    )
    def test_many_are_looked_over_a_part_in_each_round(
        self, ada, clock, monkeypatch, limit, value, expected
    ):
        monkeypatch.setattr(schedule, limit, value)
        for _ in range(5):
            make()
        Occurrence.objects.all().delete()
        rounds = beat.Rounds()
        counts = []
        for _ in range(4):
            rounds.round()
            counts.append(Occurrence.objects.count())
        assert counts == expected

    def test_what_is_due_in_a_month_is_not_looked_over_yet(
        self, ada, clock, django_assert_max_num_queries
    ):
        for _ in range(5):
            make("2026-12-23T10:00", zone="")
        with django_assert_max_num_queries(1):
            assert schedule.look_over(MONDAY) == 0

    def test_what_can_not_be_scheduled_is_told_and_holds_up_no_other(self, ada, clock, caplog):
        fields = {"title": "x", "everyone": True, "state": Reminder.State.SCHEDULED}
        Reminder.objects.create(local_at="2026-11-23T09:00", zone="Mars/Olympus", **fields)
        good = Reminder.objects.create(local_at="2026-11-23T10:00", zone="UTC", **fields)
        beat_at(clock, MONDAY)
        assert "Mars/Olympus" in caplog.text
        assert states(good) == [("2026-11-23T10:00", "due")]

    def test_one_of_which_nothing_is_to_come_is_sent(self, ada, clock):
        reminder = make()
        Occurrence.objects.update(state=State.SENT)
        beat_at(clock, MONDAY)
        reminder.refresh_from_db()
        assert reminder.state == Reminder.State.SENT


@pytest.mark.parametrize(
    ("setting", "value"),
    [("REMINDER_RETENTION_DAYS", -1), ("REMINDER_CATCH_UP", "everything")],
)
def test_a_beat_with_settings_that_can_not_be_sends_and_removes_nothing(
    settings, caplog, setting, value
):
    setattr(settings, f"NOTIFICATIONS_{setting}", value)
    beat._begin()
    assert f"No reminders are sent by this beat: NOTIFICATIONS_{setting}" in caplog.text
    assert "reminders" not in {thread.name for thread in threading.enumerate()}


class TestRetention:
    @pytest.fixture
    def sent(self, ada, clock, settings):
        settings.NOTIFICATIONS_REMINDER_RETENTION_DAYS = 30
        reminder = make("2026-11-23T09:00")
        beat_at(clock, MONDAY)
        return reminder

    def old(self, **changes):
        Delivery.objects.update(**changes)

    def test_what_was_read_long_ago_goes_with_its_reminder(self, sent, clock):
        self.old(read_at=MONDAY)
        beat_at(clock, MONDAY + 30 * DAY - HOUR)
        assert Delivery.objects.exists()
        beat_at(clock, MONDAY + 30 * DAY + HOUR)
        assert not Delivery.objects.exists()
        assert not Reminder.objects.exists()

    def test_what_has_expired_long_ago_goes(self, sent, clock):
        self.old(expires=MONDAY)
        beat_at(clock, MONDAY + 31 * DAY)
        assert not Delivery.objects.exists()

    @pytest.mark.parametrize(
        "changes",
        [
            {},  # unread, by somebody who was away
            {"read_at": MONDAY + 20 * DAY},
            {"read_at": MONDAY, "snoozed_until": MONDAY + 50 * DAY},
        ],
    )
    def test_what_may_still_matter_stays(self, sent, clock, changes):
        self.old(**changes)
        beat_at(clock, MONDAY + 40 * DAY)
        assert Delivery.objects.exists()
        assert Reminder.objects.exists()

    def test_what_is_still_to_be_acknowledged_stays(self, sent, clock):
        Reminder.objects.update(acknowledge=True)
        self.old(read_at=MONDAY)
        beat_at(clock, MONDAY + 40 * DAY)
        assert Delivery.objects.exists()
        self.old(acknowledged_at=MONDAY)
        beat_at(clock, MONDAY + 40 * DAY)
        assert not Delivery.objects.exists()

    def test_nobody_is_told_again_in_the_last_zone_of_what_was_read_in_the_first(
        self, ada, clock, settings
    ):
        settings.NOTIFICATIONS_REMINDER_RETENTION_DAYS = 1
        settings.TIME_ZONE = "UTC"
        bob = User.objects.create(username="bob")
        Preference.objects.create(user=ada, time_zone="Pacific/Kiritimati")
        Preference.objects.create(user=bob, time_zone="Pacific/Pago_Pago")
        make("2026-11-25T09:00", zone="")
        pks = []
        for half_hours in range(48, 48 * 3):
            beat_at(clock, MONDAY + half_hours * HOUR / 2)
            unread = Delivery.objects.filter(read_at=None)
            pks += list(unread.values_list("pk", flat=True))
            unread.update(read_at=clock.now)
        assert len(pks) == 2

    def test_one_that_was_cancelled_stays_until_its_time_is_long_ago(self, ada, clock):
        make("2027-02-28T09:00")
        reminder = make("2027-02-28T09:00")
        clock.now = MONDAY + 89 * DAY
        assert schedule.cancel(reminder)
        beat_at(clock, MONDAY + 96 * DAY)
        assert Reminder.objects.filter(pk=reminder.pk).exists()
        beat_at(clock, MONDAY + 190 * DAY)
        assert not Reminder.objects.filter(pk=reminder.pk).exists()

    @pytest.mark.parametrize("days", [0, -1])
    def test_nothing_goes_where_the_setting_is_0(self, sent, clock, settings, days):
        settings.NOTIFICATIONS_REMINDER_RETENTION_DAYS = days
        self.old(read_at=MONDAY)
        beat_at(clock, MONDAY + 4000 * DAY)
        assert Delivery.objects.exists()

    def test_a_rule_goes_on_though_all_of_its_past_is_gone(self, ada, clock, settings):
        settings.NOTIFICATIONS_REMINDER_RETENTION_DAYS = 30
        reminder = make("2026-11-23T09:00", rule="FREQ=DAILY")
        for days in range(3):
            beat_at(clock, MONDAY + days * DAY)
        self.old(read_at=MONDAY)
        beat_at(clock, MONDAY + 60 * DAY)
        assert len(delivered(ada)) == 1  # the newest of those that were missed
        assert [state for _local, state in states(reminder)].count("due") == 1
        assert len(rows(reminder)) <= 3

    def test_a_draft_stays(self, ada, clock):
        Reminder.objects.create(title="Later")
        beat_at(clock, MONDAY + 4000 * DAY)
        assert Reminder.objects.exists()

    def test_much_is_removed_bit_by_bit(self, sent, clock, monkeypatch):
        monkeypatch.setattr(retention, "PRUNE_LENGTH", 2)
        people = User.objects.bulk_create(User(username=f"u{n}") for n in range(5))
        Delivery.objects.bulk_create(Delivery(reminder=sent, user=user) for user in people)
        self.old(read_at=MONDAY)
        assert retention.prune(MONDAY + 31 * DAY) == 2
        beat_at(clock, MONDAY + 31 * DAY)
        assert not Reminder.objects.exists()
