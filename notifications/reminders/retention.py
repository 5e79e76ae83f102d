"""Retention: reminders that have done their work are removed in the end."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Exists, OuterRef, Q

from ..conf import conf
from .claims import PENDING
from .models import Delivery, Occurrence, Reminder
from .recurrence import LOCAL_FORMAT

PRUNE_LENGTH: Final = 500  # rows at once: what is due does not wait for long
# Rows are how it is known who has what, until a local time has passed in all zones.
DAYS_MIN: Final = 2


def kept_days() -> int:
    """Return for how many days what is over is kept: 0 for ever, else ``DAYS_MIN`` at least."""
    days: int = conf.reminder_retention_days
    return max(days, DAYS_MIN) if days > 0 else 0


def prune(now: datetime) -> int:
    """
    Remove some of what is over for ``kept_days()``; return how much.

    That is what a person has read, and acknowledged where that was asked for, or what has expired;
    then reminders that nobody has any more. What is unread stays for as long as it takes.
    """
    if not (days := kept_days()):
        return 0
    before = now - timedelta(days=days)
    return (
        _remove(_deliveries(before, now))
        or _remove(_occurrences(before))
        or _remove(_reminders(before))
    )


def _deliveries(before: datetime, now: datetime) -> Any:
    answered = Q(reminder__acknowledge=False) | Q(acknowledged_at__lt=before)
    awake = Q(snoozed_until=None) | Q(snoozed_until__lte=now)
    read = Q(read_at__lt=before) & answered & awake
    return Delivery.objects.filter(read | Q(expires__lt=before))


def _occurrences(before: datetime) -> Any:
    """Old ones of a rule, without the newest of each zone: from that the next is counted."""
    newer = Occurrence.objects.filter(
        reminder=OuterRef("reminder"), zone=OuterRef("zone"), local__gt=OuterRef("local")
    )
    old = Occurrence.objects.filter(Exists(newer), due__lt=before)
    return old.exclude(state__in=PENDING)


def _reminders(before: datetime) -> Any:
    """Those that are over, and that nobody has."""
    had = Delivery.objects.filter(reminder=OuterRef("pk"))
    # When it was cancelled isn't known; but not before it was written, nor much after its time.
    cancelled = Q(state=Reminder.State.CANCELLED, created__lt=before)
    cancelled &= Q(local_at__lt=before.strftime(LOCAL_FORMAT))
    over = Q(state=Reminder.State.SENT, sent_at__lt=before)
    over |= Q(state=Reminder.State.EXPIRED, expires__lt=before) | cancelled
    return Reminder.objects.filter(over, ~Exists(had))


def _remove(rows: Any) -> int:
    pks = list(rows.order_by().values_list("pk", flat=True)[:PRUNE_LENGTH])
    if pks:
        rows.filter(pk__in=pks).delete()  # unless somebody has changed it since
    return len(pks)
