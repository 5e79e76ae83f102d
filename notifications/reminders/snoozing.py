"""Until when a reminder is snoozed: a few words, each a moment on the reader's own clock."""

from datetime import UTC, datetime, time, timedelta
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .recurrence import parse_local, to_local, to_utc

HOUR: Final = timedelta(hours=1)
EVENING: Final = time(18)
MORNING: Final = time(9)
LONGEST: Final = timedelta(days=366)

#: What a page offers beside a time of one's own.
CHOICES: Final = (
    ("hour", gettext_lazy("For an hour")),
    ("evening", gettext_lazy("This evening")),
    ("tomorrow", gettext_lazy("Tomorrow morning")),
    ("week", gettext_lazy("Next week")),
)


class InvalidSnooze(ValueError):
    """Not a moment until which a reminder can be snoozed."""


def until(choice: str, now: datetime, zone: str, at: str = "") -> datetime:
    """
    Return the moment until which ``choice`` snoozes, for somebody whose clocks show ``zone``.

    ``evening`` is an hour away at the earliest, and ``week`` the next Monday. ``time`` is ``at``, a
    local "YYYY-MM-DDTHH:MM" from now to ``LONGEST`` ahead. Raises ``InvalidSnooze``,
    ``InvalidTime`` or ``InvalidZone``, all with a sentence for people.
    """
    today = to_local(now, zone).date()
    match choice:
        case "hour":
            return now + HOUR
        case "evening":
            return max(to_utc(datetime.combine(today, EVENING), zone), now + HOUR)
        case "tomorrow":
            return to_utc(datetime.combine(today + timedelta(days=1), MORNING), zone)
        case "week":
            monday = today + timedelta(days=7 - today.weekday())
            return to_utc(datetime.combine(monday, MORNING), zone)
        case "time":
            moment = to_utc(parse_local(at), zone)
            if not now < moment.astimezone(UTC) <= now + LONGEST:
                raise InvalidSnooze(_("Choose a time from now to a year ahead."))
            return moment
    raise InvalidSnooze(_("Say until when: in an hour, this evening, tomorrow, next week, a time."))
