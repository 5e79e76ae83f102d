"""
When a reminder is due: its rule, its local times, and the moments that these are in a time zone.

Times here are local and naive, "09:00 wherever the reader is", until ``to_utc`` makes a moment of
one. A rule is an RRULE of iCalendar (RFC 5545, 3.3.10) without DTSTART, a little stricter than
there: what can't be meant of a reminder is refused in a sentence for the person who wrote it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise, takewhile
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from dateutil import rrule
from django.utils.dates import MONTHS, WEEKDAYS
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

RULE_MAX_LENGTH: Final = 500  # characters
GAP_MIN_MINUTES: Final = 15  # between two occurrences
COUNT_MAX: Final = 10_000  # occurrences that a rule may count, or that are computed at once
INTERVAL_MAX: Final = 1000
# How far the next occurrence may be: the 29th of February falls on a Monday every 28 years, and
# once after 40. It bounds the search for a 30th of February too.
HORIZON_YEARS: Final = 41

# A search that finds nothing goes on to the year 9999. The calendar repeats itself every 400 years,
# so it is made where that is near.
LATER_YEARS: Final = 19 * 400
YEAR_MIN: Final = 1970
YEAR_MAX: Final = 2199

GAPS_LOOKED_AT: Final = 1000  # more than a week of a rule that fires as often as it may
REFERENCE: Final = datetime(2024, 1, 1)  # noqa: DTZ001 - a Monday in a leap year, in no zone

LOCAL_FORMAT: Final = "%Y-%m-%dT%H:%M"

FREQUENCIES: Final = {
    "DAILY": rrule.DAILY,
    "WEEKLY": rrule.WEEKLY,
    "MONTHLY": rrule.MONTHLY,
    "YEARLY": rrule.YEARLY,
}
DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

# What each part may hold; whether negative numbers count from the end.
NUMBERS: Final = {
    "BYMONTH": (1, 12, False),
    "BYWEEKNO": (1, 53, True),
    "BYYEARDAY": (1, 366, True),
    "BYMONTHDAY": (1, 31, True),
    "BYHOUR": (0, 23, False),
    "BYMINUTE": (0, 59, False),
    "BYSETPOS": (1, 366, True),
}

_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,5}", re.ASCII)
_DAY = re.compile(r"(?P<nth>[+-]?[1-9]\d?)?(?P<day>MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_UNTIL = re.compile(r"(?P<date>\d{8})(T(?P<time>\d{4})(\d\d)?)?", re.ASCII)


class InvalidRule(ValueError):
    """Not a rule that a reminder can have."""


class InvalidZone(ValueError):
    """Not the name of a time zone."""


class InvalidTime(ValueError):
    """Not a local time."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that was looked over: its text, tidied, and its parts as ``dateutil`` takes them."""

    text: str
    frequency: str
    interval: int = 1
    count: int | None = None
    until: datetime | None = None  # itself included
    month: tuple[int, ...] = ()
    weekno: tuple[int, ...] = ()
    yearday: tuple[int, ...] = ()
    monthday: tuple[int, ...] = ()
    day: tuple[tuple[str, int], ...] = ()  # ("MO", 0): every Monday; ("MO", -1): the last
    hour: tuple[int, ...] = ()
    minute: tuple[int, ...] = ()
    setpos: tuple[int, ...] = ()
    week_start: str = "MO"


# --- Rules ----------------------------------------------------------------------------------------


def parse_rule(text: str) -> Rule:
    """
    Return the rule that ``text`` writes down, ``FREQ=WEEKLY;BYDAY=MO`` for one.

    It ends by COUNT or UNTIL, which is a local time too, and a whole day where it is a date; that
    it does end is for ``check_end``. Raises ``InvalidRule`` for what can't be read, what comes more
    often than every ``GAP_MIN_MINUTES``, measured on its own occurrences, and what never comes.
    """
    if len(text) > RULE_MAX_LENGTH:
        raise InvalidRule(
            _("A rule has at most %(limit)d characters.") % {"limit": RULE_MAX_LENGTH}
        )
    parts = _parts(text)
    if "FREQ" not in parts:
        raise InvalidRule(_("A rule begins with how often it comes: FREQ=WEEKLY, for one."))
    values: dict[str, Any] = {}
    for name, value in parts.items():
        field, read = _READERS[name]
        values[field] = read(name, value)
    rule = Rule(text=";".join(f"{name}={value}" for name, value in parts.items()), **values)
    _check_whole(rule)
    return rule


def check_end(rule: Rule, start: datetime) -> None:
    """
    Refuse, with ``InvalidRule``, one that goes on for ever, or for more than ``COUNT_MAX`` times
    from ``start``.
    """
    limit = {"limit": COUNT_MAX}
    if rule.count is None and rule.until is None:
        raise InvalidRule(
            _(
                "This rule never ends. Add its last day, UNTIL=20271231 for one, or how often it "
                "comes, COUNT=10; at most %(limit)d times."
            )
            % limit
        )
    if rule.until is not None:
        times = _times_of(rule, start.replace(second=0, microsecond=0), rule.until)
        if next(islice(times, COUNT_MAX, None), None) is not None:
            raise InvalidRule(
                _("This rule comes more than %(limit)d times before its last day. End it earlier.")
                % limit
            )


def occurrences(rule: Rule, start: datetime, after: datetime | None, limit: int) -> list[datetime]:
    """
    Return the first ``limit`` local times of ``rule`` later than ``after``; None: from ``start``.

    ``start`` gives what the rule leaves open, the time of day above all, and is an occurrence
    only where the rule says so. At most ``HORIZON_YEARS`` are searched; fewer times than asked
    for are the last. Raises ``InvalidRule`` for a ``limit`` over ``COUNT_MAX``.
    """
    if limit > COUNT_MAX:
        raise InvalidRule(
            _("At most %(limit)d occurrences can be computed at once.") % {"limit": COUNT_MAX}
        )
    start = start.replace(second=0, microsecond=0)
    begin = start
    if after is not None and after > start and rule.count is None:
        begin = _nearer(rule, start, after)
    end = _horizon(max(start, after or start))
    if rule.until is not None:
        end = min(end, rule.until)
    every = _times_of(rule, begin, end)
    later = (local for local in every if after is None or local > after)
    return list(islice(later, max(limit, 0)))


def describe(rule: Rule, start: datetime) -> str:
    """Return the rule in words for people: "every Monday at 09:00"."""
    text = _describe_days(rule, start)
    if text is None:
        text = _("by the rule %(rule)s") % {"rule": rule.text}
    else:
        text = _("%(days)s at %(times)s") % {"days": text, "times": _times(rule, start)}
    if rule.until is not None:
        text = _("%(when)s, until %(date)s") % {"when": text, "date": _date(rule.until)}
    if rule.count is not None:
        text += ngettext(", %(count)d time", ", %(count)d times", rule.count) % {
            "count": rule.count
        }
    return text


# --- Local times and zones ------------------------------------------------------------------------


def parse_local(text: str) -> datetime:
    """Return the naive local time that ``text`` is, "2027-03-28T02:30"; or ``InvalidTime``."""
    try:
        local = datetime.strptime(text, LOCAL_FORMAT) if _LOCAL.fullmatch(text) else None  # noqa: DTZ007
    except ValueError:  # the 30th of February
        local = None
    if local is not None and YEAR_MIN <= local.year <= YEAR_MAX:
        return local
    raise InvalidTime(_("“%(text)s” is not a date and time.") % {"text": text[:40]})


def to_text(local: datetime) -> str:
    return local.isoformat(timespec="minutes")


def check_zone(name: str) -> str:
    """Return ``name`` where it is that of a time zone; else raise ``InvalidZone``."""
    if name not in _zones():
        raise InvalidZone(
            _("There is no time zone “%(name)s”. One is called “Europe/Berlin”, for example.")
            % {"name": name[:64]}
        )
    return name


def to_utc(local: datetime, zone: str) -> datetime:
    """
    Return the moment at which clocks in ``zone`` show ``local``.

    Where they show it twice, as they are put back, it is the first time. Where they never do, as
    they are put forward, the time is moved by as much as they are: 02:30 becomes 03:30.
    """
    # PEP 495: fold=0 counts with the offset from before the change, which gives both.
    return local.replace(tzinfo=ZoneInfo(check_zone(zone)), fold=0).astimezone(UTC)


def to_local(moment: datetime, zone: str) -> datetime:
    """Return what clocks in ``zone`` show at ``moment``, naive."""
    return moment.astimezone(ZoneInfo(check_zone(zone))).replace(tzinfo=None, fold=0)


# --- Reading a rule -------------------------------------------------------------------------------


@cache
def _zones() -> frozenset[str]:
    # Some systems list their own zone under this name: it has none that another could know.
    return frozenset(available_timezones() - {"localtime"})


def _parts(text: str) -> dict[str, str]:
    text = "".join(text.split()).upper().removeprefix("RRULE:").strip(";")
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise InvalidRule(
                _("A rule is made of parts like FREQ=WEEKLY, with semicolons between them.")
            )
        if name == "DTSTART":
            raise InvalidRule(_("Leave DTSTART out: the rule begins at the reminder's own time."))
        if name not in _READERS:
            raise InvalidRule(_("A reminder's rule has no part %(name)s.") % {"name": name[:40]})
        if name in parts:
            raise InvalidRule(_("The part %(name)s is there twice.") % {"name": name})
        parts[name] = value
    return parts


def _frequency(name: str, value: str) -> str:
    if value not in FREQUENCIES:
        raise InvalidRule(
            _(
                "FREQ is one of %(choices)s, not “%(value)s”. For more than once a day name the "
                "hours and minutes: FREQ=DAILY;BYHOUR=9,17."
            )
            % {"choices": ", ".join(FREQUENCIES), "value": value[:40]}
        )
    return value


def _number(name: str, value: str, low: int, high: int, negative: bool = False) -> int:
    number = int(value) if _NUMBER.fullmatch(value) else None
    if number is not None and low <= (abs(number) if negative else number) <= high:
        return number
    raise InvalidRule(
        _("%(name)s is a number from %(low)d to %(high)d, not “%(value)s”.")
        % {"name": name, "low": low, "high": high, "value": value[:40]}
    )


def _numbers(name: str, value: str) -> tuple[int, ...]:
    low, high, negative = NUMBERS[name]
    return tuple(sorted({_number(name, each, low, high, negative) for each in value.split(",")}))


def _days(name: str, value: str) -> tuple[tuple[str, int], ...]:
    days = set()
    for each in value.split(","):
        match = _DAY.fullmatch(each)
        if not match:
            raise InvalidRule(
                _("BYDAY names days like MO, or 1MO and -1FR: not “%(value)s”.")
                % {"value": each[:40]}
            )
        days.add((match["day"], int(match["nth"] or 0)))
    return tuple(sorted(days, key=lambda day: (day[1], DAYS.index(day[0]))))


def _until(name: str, value: str) -> datetime:
    match = _UNTIL.fullmatch(value)
    try:
        if match and int(value[:4]) <= YEAR_MAX:  # a date without a time is the whole day
            return datetime.strptime(match["date"] + (match["time"] or "2359"), "%Y%m%d%H%M")  # noqa: DTZ007
    except ValueError:
        pass
    raise InvalidRule(
        _(
            "UNTIL is a local date or time like 20271231 or 20271231T180000, without a zone: "
            "not “%(value)s”."
        )
        % {"value": value[:40]}
    )


def _week_start(name: str, value: str) -> str:
    if value not in DAYS:
        raise InvalidRule(_("WKST is a day like MO, not “%(value)s”.") % {"value": value[:40]})
    return value


_READERS: Final[dict[str, tuple[str, Callable[[str, str], Any]]]] = {
    "FREQ": ("frequency", _frequency),
    "INTERVAL": ("interval", lambda name, value: _number(name, value, 1, INTERVAL_MAX)),
    "COUNT": ("count", lambda name, value: _number(name, value, 1, COUNT_MAX)),
    "UNTIL": ("until", _until),
    "BYDAY": ("day", _days),
    "WKST": ("week_start", _week_start),
    **{name: (name.removeprefix("BY").lower(), _numbers) for name in NUMBERS},
}


def _check_whole(rule: Rule) -> None:
    """Refuse what only shows when the parts are seen together."""
    if rule.count is not None and rule.until is not None:
        raise InvalidRule(_("A rule ends by COUNT or by UNTIL, not by both."))
    if any(nth for _day, nth in rule.day) and rule.frequency not in ("MONTHLY", "YEARLY"):
        raise InvalidRule(_("“The first Monday” is one of a month or of a year: FREQ=MONTHLY."))
    first = list(islice(_times_of(rule, REFERENCE, _horizon(REFERENCE)), GAPS_LOOKED_AT))
    if not first:
        raise InvalidRule(
            _("This rule does not come once in %(years)d years.") % {"years": HORIZON_YEARS}
        )
    gap = timedelta(minutes=GAP_MIN_MINUTES)
    if any(later - earlier < gap for earlier, later in pairwise(first)):
        raise InvalidRule(
            _("This rule comes more often than every %(minutes)d minutes, which is the limit.")
            % {"minutes": GAP_MIN_MINUTES}
        )


# --- Computing ------------------------------------------------------------------------------------


def _times_of(rule: Rule, start: datetime, until: datetime) -> Iterator[datetime]:
    """The local times of ``rule`` in their order, up to ``until``."""
    found = rrule.rrule(
        FREQUENCIES[rule.frequency],
        dtstart=start.replace(year=start.year + LATER_YEARS),
        interval=rule.interval,
        wkst=DAYS.index(rule.week_start),
        bysetpos=rule.setpos or None,
        bymonth=rule.month or None,
        bymonthday=rule.monthday or None,
        byyearday=rule.yearday or None,
        byweekno=rule.weekno or None,
        byweekday=[rrule.weekday(DAYS.index(day), nth or None) for day, nth in rule.day] or None,
        byhour=rule.hour or None,
        byminute=rule.minute or None,
        bysecond=0,
    )
    times = (time.replace(year=time.year - LATER_YEARS) for time in islice(found, rule.count))
    return takewhile(lambda time: time <= until, times)


def _horizon(begin: datetime) -> datetime:
    return begin.replace(year=begin.year + HORIZON_YEARS, day=1)


def _nearer(rule: Rule, start: datetime, after: datetime) -> datetime:
    """A start that gives the same times later than ``after``, with fewer before it."""
    days = {"DAILY": 1, "WEEKLY": 7}.get(rule.frequency, 0) * rule.interval
    whole = (after - start).days // days - 1 if days else 0
    return start + timedelta(days=days * max(whole, 0))


# --- In words -------------------------------------------------------------------------------------


def _describe_days(rule: Rule, start: datetime) -> str | None:
    """The days in words; None where words for them would be longer than the rule."""
    if rule.setpos or rule.weekno or rule.yearday:
        return None
    describers = {"DAILY": _daily, "WEEKLY": _weekly, "MONTHLY": _monthly, "YEARLY": _yearly}
    return describers[rule.frequency](rule, start)


def _daily(rule: Rule, start: datetime) -> str | None:
    if rule.month or rule.monthday or rule.day:
        return None
    every = ngettext("every day", "every %(n)d days", rule.interval)
    return every % {"n": rule.interval}


def _weekly(rule: Rule, start: datetime) -> str | None:
    if rule.month or rule.monthday:
        return None
    days = [DAYS.index(day) for day, _nth in rule.day] or [start.weekday()]
    if days == list(range(7)):
        names = _("day")
    elif days == list(range(5)):
        names = _("day from Monday to Friday")
    else:
        names = _list([str(WEEKDAYS[day]) for day in days])
    if rule.interval == 1:
        return _("every %(days)s") % {"days": names}
    names = _list([str(WEEKDAYS[day]) for day in days])
    every = ngettext("every %(n)d week on %(days)s", "every %(n)d weeks on %(days)s", rule.interval)
    return every % {"n": rule.interval, "days": names}


def _monthly(rule: Rule, start: datetime) -> str | None:
    days = _days_of_month(rule, start)
    if days is None or rule.month:
        return None
    every = ngettext("%(days)s of every month", "%(days)s of every %(n)d months", rule.interval)
    return every % {"days": days, "n": rule.interval}


def _yearly(rule: Rule, start: datetime) -> str | None:
    if len(rule.month) > 1 or (rule.day and not rule.month):
        return None
    month = str(MONTHS[rule.month[0] if rule.month else start.month])
    days = _days_of_month(rule, start)
    if days is None or (rule.monthday and not rule.month):
        return None
    every = ngettext(
        "%(days)s of %(month)s every year", "%(days)s of %(month)s every %(n)d years", rule.interval
    )
    return every % {"days": days, "month": month, "n": rule.interval}


def _days_of_month(rule: Rule, start: datetime) -> str | None:
    if rule.day and rule.monthday:
        return None
    if not rule.day:
        days = rule.monthday or (start.day,)
        if days == (-1,):
            return _("the last day")
        if min(days) < 0:
            return None
        text = ngettext("day %(days)s", "days %(days)s", len(days))
        return text % {"days": _list([str(day) for day in days])}
    nth_names = {
        1: pgettext("of weekdays", "first"),
        2: pgettext("of weekdays", "second"),
        3: pgettext("of weekdays", "third"),
        4: pgettext("of weekdays", "fourth"),
        -1: pgettext("of weekdays", "last"),
    }
    if any(nth not in nth_names for _day, nth in rule.day):
        return None
    one = _("the %(nth)s %(day)s")
    return _list(
        [one % {"nth": nth_names[nth], "day": WEEKDAYS[DAYS.index(day)]} for day, nth in rule.day]
    )


def _times(rule: Rule, start: datetime) -> str:
    hours, minutes = rule.hour or (start.hour,), rule.minute or (start.minute,)
    return _list([f"{hour:02}:{minute:02}" for hour in hours for minute in minutes])


def _list(words: list[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} {_('and')} {last}" if most else last


def _date(moment: datetime) -> str:
    return date_format(moment, "DATE_FORMAT")
