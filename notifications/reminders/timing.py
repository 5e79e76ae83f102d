"""When a reminder is sent, for people: in a sentence, and what can't be, in another."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from . import recurrence, zones

FEW = 3  # zones that are named


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
    after = max(now, start - timedelta(minutes=1))  # the start itself may be one
    times = recurrence.occurrences(recurrence.parse_rule(rule), start, after, count)
    return [_moment(local) for local in times]


def check_rule(local_at: str, zone: str, rule: str) -> None:
    """Refuse a rule of which nothing is to come."""
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


def passed_in(local_at: str, zone: str, users: Any) -> tuple[list[str], bool]:
    """Return the zones of ``users`` in which the time has passed, and whether those are all."""
    local, now = recurrence.parse_local(local_at), timezone.now()
    names = {zone} if zone else zones.of_audience(users)
    passed = sorted(name for name in names if recurrence.to_utc(local, name) <= now)
    return passed, len(passed) == len(names)


def past_sentence(passed: list[str], all_of_them: bool) -> str:
    if all_of_them:
        return _("This time has passed. Choose a later one, or tick “send it now”.")
    places = ", ".join(passed[:FEW]) + (" …" if len(passed) > FEW else "")
    return _(
        "This time has passed in %(zones)s already. Choose a later one, or tick “send it now”: "
        "then readers there have it at once."
    ) % {"zones": places}


def _moment(local: datetime) -> str:
    return date_format(local, "D, j N Y, H:i")
