"""When a reminder is sent, for people: in a sentence, and what can't be, in another."""

from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from .. import recurrence, zones

FEW: Final = 3  # zones that are named
LOOK_AHEAD: Final = 400  # times of a rule: a year of a daily one
MINUTE: Final = timedelta(minutes=1)


def in_words(local_at: str, zone: str, rule: str) -> str:
    """Return "every Monday at 09:00, Europe/Berlin". What is not valid is shown as it stands."""
    if not local_at:
        return _("when you send it")
    try:
        start = recurrence.parse_local(local_at)
        when = recurrence.describe(recurrence.parse_rule(rule), start) if rule else _moment(start)
    except ValueError:  # written past the form
        when = f"{local_at} {rule}".strip()
    return _("%(when)s, %(whose)s") % {"when": when, "whose": zone or _("each reader's own time")}


def next_times(local_at: str, zone: str, rule: str, count: int) -> list[str]:
    """Return the next local times of a valid rule, in words."""
    now = recurrence.to_local(timezone.now(), zone or settings.TIME_ZONE)
    start = recurrence.parse_local(local_at)
    after = max(now, start - MINUTE)  # the start itself may be one
    times = recurrence.occurrences(recurrence.parse_rule(rule), start, after, count)
    return [_moment(local) for local in times]


def check_rule(local_at: str, zone: str, rule: str) -> None:
    """Refuse a rule that never ends, or of which nothing is to come."""
    try:
        recurrence.check_end(recurrence.parse_rule(rule), recurrence.parse_local(local_at))
    except recurrence.InvalidRule as error:
        raise ValidationError(str(error), code="endless") from error
    if not next_times(local_at, zone, rule, 1):
        raise ValidationError(_("Nothing of this is to come any more: it has ended."), code="over")


def check_exists(local_at: str, zone: str) -> None:
    """Refuse a time that clocks in ``zone`` skip as they are put forward."""
    local = recurrence.parse_local(local_at)
    shown = recurrence.to_local(recurrence.to_utc(local, zone), zone)
    if shown != local:
        raise ValidationError(
            _("Clocks in %(zone)s skip %(time)s on this day. Choose %(next)s, for example."),
            code="skipped",
            params={
                "zone": zone,
                "time": f"{local:%H:%M}",
                "next": f"{shown:%H:%M}",
            },
        )


def clock_notes(local_at: str, zone: str, rule: str) -> list[str]:
    """
    Say what becomes of a valid time that clocks in ``zone`` skip or show twice.

    Of a rule, those are the first such times among its next ``LOOK_AHEAD``.
    """
    start = recurrence.parse_local(local_at)
    times = [start]
    if rule:
        now = recurrence.to_local(timezone.now(), zone)
        after = max(now, start - MINUTE)
        times = recurrence.occurrences(recurrence.parse_rule(rule), start, after, LOOK_AHEAD)
    notes: dict[str, str] = {}
    for local in times:
        shown = recurrence.to_local(recurrence.to_utc(local, zone), zone)
        values = {
            "zone": zone,
            "day": date_format(local, "D, j N Y"),
            "time": f"{local:%H:%M}",
            "next": f"{shown:%H:%M}",
        }
        if shown != local:
            text = _("Clocks in %(zone)s skip %(time)s on %(day)s: it is sent at %(next)s then.")
            notes.setdefault("skipped", text % values)
        elif _comes_twice(local, zone):
            text = _("Clocks in %(zone)s show %(time)s twice on %(day)s: the first time counts.")
            notes.setdefault("twice", text % values)
    return list(notes.values())


def clocks(zone: str, users: Any) -> set[str]:
    """Return the zones by whose clocks ``users``, a queryset, get it."""
    return {zone} if zone else zones.of_audience(users)


def passed_in(local_at: str, clocks: set[str]) -> set[str]:
    """Return those of ``clocks`` on which the time has passed."""
    local, now = recurrence.parse_local(local_at), timezone.now()
    return {name for name in clocks if recurrence.to_utc(local, name) <= now}


def past_sentence(passed: set[str], clocks: set[str]) -> str:
    if passed == clocks:
        return _("This time has passed. Choose a later one, or tick “send it now”.")
    return _(
        "This time has passed in %(zones)s already. Choose a later one, or tick “send it now”: "
        "then readers there have it at once."
    ) % {"zones": _few(passed)}


def expired_in(expires: datetime, local_at: str, rule: str, clocks: set[str]) -> set[str]:
    """Return those of ``clocks`` on which it expires before it is sent for the first time."""
    start, now = recurrence.parse_local(local_at), timezone.now()
    late = set()
    for name in clocks:
        times = [start]
        if rule:
            after = max(recurrence.to_local(now, name), start - MINUTE)
            times = recurrence.occurrences(recurrence.parse_rule(rule), start, after, 1)
        if all(max(recurrence.to_utc(local, name), now) >= expires for local in times):
            late.add(name)
    return late


def expired_sentence(late: set[str], clocks: set[str]) -> str:
    if late == clocks:
        return _("This is before it is sent: nobody would get it.")
    return _("This is before it is sent in %(zones)s: nobody there would get it.") % {
        "zones": _few(late)
    }


def _few(names: set[str]) -> str:
    return ", ".join(sorted(names)[:FEW]) + (" …" if len(names) > FEW else "")


def _comes_twice(local: datetime, zone: str) -> bool:
    """Whether clocks that are put back show it twice; for a time that they don't skip."""
    first = local.replace(tzinfo=ZoneInfo(zone), fold=0)
    return first.utcoffset() != first.replace(fold=1).utcoffset()


def _moment(local: datetime) -> str:
    return date_format(local, "D, j N Y, H:i")
