"""When a reminder is due: rules, local times, and what clocks in a time zone make of them."""

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.utils import translation

from notifications.reminders import recurrence
from notifications.reminders.recurrence import (
    InvalidRule,
    InvalidTime,
    InvalidZone,
    check_end,
    check_zone,
    describe,
    occurrences,
    parse_local,
    parse_rule,
    to_local,
    to_text,
    to_utc,
)

MONDAY = datetime(2026, 11, 23, 9, 0)  # noqa: DTZ001
TWENTY_FOUR_HOURS = "BYHOUR=" + ",".join(map(str, range(24)))


def times(text: str, start: datetime = MONDAY, after: datetime | None = None, limit: int = 3):
    return [to_text(local) for local in occurrences(parse_rule(text), start, after, limit)]


class TestRules:
    @pytest.mark.parametrize(
        ("text", "first"),
        [
            ("FREQ=DAILY", "2026-11-23T09:00 2026-11-24T09:00 2026-11-25T09:00"),
            ("FREQ=WEEKLY", "2026-11-23T09:00 2026-11-30T09:00 2026-12-07T09:00"),
            ("FREQ=WEEKLY;BYDAY=TU", "2026-11-24T09:00 2026-12-01T09:00 2026-12-08T09:00"),
            ("FREQ=MONTHLY;BYDAY=-1FR", "2026-11-27T09:00 2026-12-25T09:00 2027-01-29T09:00"),
            ("FREQ=MONTHLY;BYMONTHDAY=31", "2026-12-31T09:00 2027-01-31T09:00 2027-03-31T09:00"),
            (
                "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
                "2028-02-29T09:00 2032-02-29T09:00 2036-02-29T09:00",
            ),
            ("FREQ=DAILY;BYHOUR=8,20", "2026-11-23T20:00 2026-11-24T08:00 2026-11-24T20:00"),
            ("freq=weekly; byday=mo ;", "2026-11-23T09:00 2026-11-30T09:00 2026-12-07T09:00"),
            ("RRULE:FREQ=DAILY;COUNT=2", "2026-11-23T09:00 2026-11-24T09:00"),
            ("FREQ=DAILY;UNTIL=20261124T0859", "2026-11-23T09:00"),
        ],
    )
    def test_a_rule_gives_its_local_times(self, text, first):
        assert times(text) == first.split()

    def test_a_day_that_a_rule_ends_with_belongs_to_it(self):
        assert times("FREQ=DAILY;UNTIL=20261124") == ["2026-11-23T09:00", "2026-11-24T09:00"]

    def test_times_after_one_of_them_begin_with_the_next(self):
        assert times("FREQ=DAILY", after=MONDAY, limit=1) == ["2026-11-24T09:00"]

    def test_a_time_before_the_start_changes_nothing(self):
        before = MONDAY - timedelta(days=400)
        assert times("FREQ=WEEKLY;COUNT=1", after=before) == ["2026-11-23T09:00"]

    def test_a_count_counts_from_the_start_wherever_one_looks(self):
        later = MONDAY + timedelta(days=3)
        assert times("FREQ=DAILY;COUNT=5", after=later) == ["2026-11-27T09:00"]

    def test_a_rule_that_has_ended_has_no_more_times(self):
        assert times("FREQ=DAILY;UNTIL=20261201", after=MONDAY + timedelta(days=30)) == []

    @pytest.mark.parametrize(
        "text",
        [
            "FREQ=DAILY;INTERVAL=5",
            "FREQ=WEEKLY;INTERVAL=3",
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO;WKST=SU",
            "FREQ=MONTHLY;INTERVAL=5",
            "FREQ=YEARLY;INTERVAL=2",
        ],
    )
    def test_years_later_a_rule_keeps_its_step(self, text):
        rule = parse_rule(text)
        many = occurrences(rule, MONDAY, None, 300)
        assert len(many) > 15
        for after, local in pairwise(many):
            assert occurrences(rule, MONDAY, after, 1) == [local]

    def test_a_daily_rule_does_not_search_all_the_years_since_it_began(self):
        rule = parse_rule(f"FREQ=DAILY;{TWENTY_FOUR_HOURS};BYMINUTE=0,15,30,45")
        began = time.perf_counter()
        assert occurrences(rule, MONDAY, MONDAY + timedelta(days=365 * 40), 1)
        assert time.perf_counter() - began < 0.5

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "parts like FREQ=WEEKLY"),
            ("every monday", "parts like FREQ=WEEKLY"),
            ("BYDAY=MO", "begins with how often"),
            ("FREQ=SECONDLY", "one of DAILY, WEEKLY, MONTHLY, YEARLY"),
            ("FREQ=MINUTELY;INTERVAL=30", "one of DAILY"),
            ("FREQ=HOURLY", "one of DAILY"),
            ("FREQ=DAILY;FREQ=WEEKLY", "there twice"),
            ("FREQ=DAILY;BYSECOND=0,30", "no part BYSECOND"),
            ("FREQ=DAILY;BYEASTER=1", "no part BYEASTER"),
            ("FREQ=DAILY;BYMINUTE=0,14", "every 15 minutes"),
            ("FREQ=DAILY;BYHOUR=0,23;BYMINUTE=0,50", "every 15 minutes"),  # over midnight
            (f"FREQ=YEARLY;BYDAY=SU;{TWENTY_FOUR_HOURS};BYMINUTE=5,10", "every 15 minutes"),
            ("FREQ=DAILY;INTERVAL=0", "from 1 to 1000"),
            ("FREQ=DAILY;INTERVAL=-1", "from 1 to 1000"),
            ("FREQ=DAILY;COUNT=10001", "from 1 to 10000"),
            ("FREQ=DAILY;COUNT=1;UNTIL=20270101", "not by both"),
            ("FREQ=DAILY;UNTIL=20270101T000000Z", "without a zone"),
            ("FREQ=DAILY;UNTIL=20270230", "like 20271231"),
            ("FREQ=MONTHLY;UNTIL=99991231", "like 20271231"),
            ("FREQ=WEEKLY;BYDAY=2MO", "FREQ=MONTHLY"),
            ("FREQ=MONTHLY;BYDAY=0MO", "names days"),
            ("FREQ=WEEKLY;BYDAY=XX", "names days"),
            ("FREQ=MONTHLY;BYMONTHDAY=0", "from 1 to 31"),
            ("FREQ=MONTHLY;BYMONTHDAY=32", "from 1 to 31"),
            ("FREQ=DAILY;BYHOUR=24", "from 0 to 23"),
            ("FREQ=DAILY;BYHOUR=٣", "from 0 to 23"),
            ("FREQ=DAILY;WKST=1", "WKST"),
            ("DTSTART=20260101T000000;FREQ=DAILY", "Leave DTSTART out"),
            ("FREQ=DAILY;BYHOUR=" + "1," * 1000 + "1", "at most 500 characters"),
        ],
    )
    def test_what_is_no_rule_for_a_reminder_is_refused_with_the_reason(self, text, says):
        with pytest.raises(InvalidRule, match=says):
            parse_rule(text)

    @pytest.mark.parametrize("frequency", ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])
    def test_a_day_that_never_comes_is_refused_within_a_second(self, frequency):
        began = time.perf_counter()
        with pytest.raises(InvalidRule, match="does not come once in 41 years"):
            parse_rule(f"FREQ={frequency};BYMONTH=2;BYMONTHDAY=30")
        assert time.perf_counter() - began < 1

    def test_every_quarter_of_an_hour_is_the_most_often(self):
        rule = parse_rule(f"FREQ=DAILY;{TWENTY_FOUR_HOURS};BYMINUTE=0,15,30,45")
        first, second = occurrences(rule, MONDAY, MONDAY, 2)
        assert second - first == timedelta(minutes=recurrence.GAP_MIN_MINUTES)

    @pytest.mark.parametrize("text", ["FREQ=DAILY", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"])
    def test_one_that_never_ends_is_refused_with_the_limit(self, text):
        with pytest.raises(InvalidRule, match=r"never ends.*at most 10000 times"):
            check_end(parse_rule(text), MONDAY)

    @pytest.mark.parametrize(("day", "ends"), [("20540409", True), ("20540410", False)])
    def test_its_last_day_is_as_near_as_its_number_of_times(self, day, ends):
        # The 10,000th day from Monday, 2026-11-23.
        rule = parse_rule(f"FREQ=DAILY;UNTIL={day}")
        if ends:
            check_end(rule, MONDAY)
        else:
            with pytest.raises(InvalidRule, match="more than 10000 times"):
                check_end(rule, MONDAY)

    def test_the_last_day_of_one_that_comes_often_is_found_in_time(self):
        rule = parse_rule(f"FREQ=DAILY;{TWENTY_FOUR_HOURS};BYMINUTE=0,15,30,45;UNTIL=21991231")
        began = time.perf_counter()
        with pytest.raises(InvalidRule, match="more than 10000 times"):
            check_end(rule, MONDAY)
        assert time.perf_counter() - began < 1

    def test_more_times_than_the_limit_are_not_computed_at_once(self):
        with pytest.raises(InvalidRule, match="10000"):
            occurrences(parse_rule("FREQ=DAILY"), MONDAY, None, 10_001)


class TestWords:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("FREQ=WEEKLY", "every Monday at 09:00"),
            ("FREQ=WEEKLY;BYDAY=TH,MO", "every Monday and Thursday at 09:00"),
            ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "every day from Monday to Friday at 09:00"),
            ("FREQ=WEEKLY;INTERVAL=2;BYDAY=FR", "every 2 weeks on Friday at 09:00"),
            ("FREQ=DAILY", "every day at 09:00"),
            ("FREQ=DAILY;INTERVAL=3", "every 3 days at 09:00"),
            ("FREQ=DAILY;BYHOUR=9,17;BYMINUTE=30", "every day at 09:30 and 17:30"),
            ("FREQ=MONTHLY", "day 23 of every month at 09:00"),
            ("FREQ=MONTHLY;BYMONTHDAY=1,15", "days 1 and 15 of every month at 09:00"),
            ("FREQ=MONTHLY;BYMONTHDAY=-1", "the last day of every month at 09:00"),
            ("FREQ=MONTHLY;INTERVAL=3;BYDAY=1MO", "the first Monday of every 3 months at 09:00"),
            ("FREQ=YEARLY", "day 23 of November every year at 09:00"),
            ("FREQ=YEARLY;BYMONTH=5;BYDAY=2SU", "the second Sunday of May every year at 09:00"),
            ("FREQ=DAILY;COUNT=1", "every day at 09:00, 1 time"),
            ("FREQ=DAILY;COUNT=5", "every day at 09:00, 5 times"),
            ("FREQ=DAILY;UNTIL=20271231", "every day at 09:00, until Dec. 31, 2027"),
            ("FREQ=YEARLY;BYWEEKNO=20", "by the rule FREQ=YEARLY;BYWEEKNO=20"),
            ("FREQ=YEARLY;BYDAY=MO", "by the rule FREQ=YEARLY;BYDAY=MO"),
            ("FREQ=YEARLY;BYMONTHDAY=1", "by the rule FREQ=YEARLY;BYMONTHDAY=1"),
            ("FREQ=MONTHLY;BYDAY=MO", "by the rule FREQ=MONTHLY;BYDAY=MO"),
            ("FREQ=MONTHLY;BYSETPOS=1;BYDAY=MO", "by the rule FREQ=MONTHLY;BYSETPOS=1;BYDAY=MO"),
            ("FREQ=DAILY;BYMONTH=1", "by the rule FREQ=DAILY;BYMONTH=1"),
        ],
    )
    def test_a_rule_is_told_in_words(self, text, words):
        assert describe(parse_rule(text), MONDAY) == words

    def test_days_have_the_readers_language(self):
        with translation.override("de"):
            assert "Montag" in describe(parse_rule("FREQ=WEEKLY"), MONDAY)


class TestLocalTimes:
    def test_a_local_time_is_read_as_it_is_written(self):
        assert to_text(parse_local("2027-03-28T02:30")) == "2027-03-28T02:30"

    @pytest.mark.parametrize(
        "text",
        ["", "tomorrow", "2027-02-30T09:00", "2027-01-01T24:00", "2027-01-01 09:00",
         "2027-01-01T09:00Z", "9999-12-31T23:59", "0001-01-01T00:00", "٢٠٢٧-01-01T09:00"],
    )  # fmt: skip
    def test_what_is_no_local_time_is_refused(self, text):
        with pytest.raises(InvalidTime, match="is not a date and time"):
            parse_local(text)

    @pytest.mark.parametrize(
        "name", ["", "Mars/Olympus", "europe/berlin", "Europe", "../etc/passwd", "localtime", "+1"]
    )
    def test_a_zone_that_does_not_exist_is_refused(self, name):
        with pytest.raises(InvalidZone, match="no time zone"):
            check_zone(name)
        with pytest.raises(InvalidZone):
            to_utc(MONDAY, name)

    def test_the_place_of_a_zone_is_its_name(self):
        assert check_zone("Europe/Berlin") == "Europe/Berlin"


class TestDaylightSaving:
    @pytest.mark.parametrize(
        ("zone", "local", "moment"),
        [
            # What there is once.
            ("Europe/Berlin", "2027-01-15T09:00", "2027-01-15T08:00"),
            ("Europe/Berlin", "2027-07-15T09:00", "2027-07-15T07:00"),
            # Twice: the first.
            ("Europe/Berlin", "2027-10-31T02:30", "2027-10-31T00:30"),
            ("America/New_York", "2027-11-07T01:30", "2027-11-07T05:30"),
            ("Australia/Lord_Howe", "2027-04-04T01:45", "2027-04-03T14:45"),
            # Never: later by the gap.
            ("Europe/Berlin", "2027-03-28T02:30", "2027-03-28T01:30"),
            ("America/New_York", "2027-03-14T02:00", "2027-03-14T07:00"),
            ("Australia/Lord_Howe", "2027-10-03T02:10", "2027-10-02T15:40"),
            # Without summer time.
            ("Asia/Kolkata", "2027-03-28T02:30", "2027-03-27T21:00"),
            ("UTC", "2027-03-28T02:30", "2027-03-28T02:30"),
            # Changed its offset for good: Istanbul 2016, and Apia left out a whole day.
            ("Europe/Istanbul", "2016-01-15T09:00", "2016-01-15T07:00"),
            ("Europe/Istanbul", "2017-01-15T09:00", "2017-01-15T06:00"),
            ("Pacific/Apia", "2011-12-29T09:00", "2011-12-29T19:00"),
            ("Pacific/Apia", "2011-12-30T09:00", "2011-12-30T19:00"),
            ("Pacific/Apia", "2011-12-31T09:00", "2011-12-30T19:00"),
        ],
    )
    def test_a_local_time_becomes_a_moment(self, zone, local, moment):
        expected = parse_local(moment).replace(tzinfo=UTC)
        assert to_utc(parse_local(local), zone) == expected

    @pytest.mark.parametrize(
        ("zone", "local", "shown"),
        [
            ("Europe/Berlin", "2027-03-28T02:30", "2027-03-28T03:30"),
            ("America/New_York", "2027-03-14T02:00", "2027-03-14T03:00"),
            ("Australia/Lord_Howe", "2027-10-03T02:10", "2027-10-03T02:40"),
        ],
    )
    def test_a_time_that_never_comes_is_moved_by_the_gap(self, zone, local, shown):
        assert to_text(to_local(to_utc(parse_local(local), zone), zone)) == shown

    @pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
    def test_a_daily_reminder_stays_at_nine_all_year_round(self, zone):
        start = parse_local("2027-01-01T09:00")
        for local in occurrences(parse_rule("FREQ=DAILY"), start, None, 366):
            shown = to_local(to_utc(local, zone), zone)
            assert shown == local
            assert (shown.hour, shown.minute) == (9, 0)

    @pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
    def test_an_occurrence_in_the_hour_of_change_comes_once_a_day(self, zone):
        start = parse_local("2027-01-01T02:10")
        locals_ = occurrences(parse_rule("FREQ=DAILY"), start, None, 366)
        moments = [to_utc(local, zone) for local in locals_]
        assert len(moments) == 366
        assert all(later - earlier >= timedelta(hours=23) for earlier, later in pairwise(moments))
