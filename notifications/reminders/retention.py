"""Retention: reminders that have done their work are removed in the end."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Exists, OuterRef, Q

from ..conf import conf
from .claims import PENDING
from .models import Delivery, Occurrence, Reminder

PRUNE_LENGTH: Final = 500  # rows at once: what is due does not wait for long


def prune(now: datetime) -> int:
    """
    Remove some of what is over for ``REMINDER_RETENTION_DAYS`` (0: nothing); return how much.

    That is what a person has read, and acknowledged where that was asked for, or what has expired;
    then reminders that nobody has any more. What is unread stays for as long as it takes.
    """
    if not conf.reminder_retention_days:
        return 0
    before = now - timedelta(days=conf.reminder_retention_days)
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
    unsent = (Reminder.State.CANCELLED, Reminder.State.EXPIRED)
    over = Q(state=Reminder.State.SENT, sent_at__lt=before) | Q(
        state__in=unsent, created__lt=before
    )
    return Reminder.objects.filter(over, ~Exists(had))


def _remove(rows: Any) -> int:
    pks = list(rows.order_by().values_list("pk", flat=True)[:PRUNE_LENGTH])
    if pks:
        rows.filter(pk__in=pks).delete()  # unless somebody has changed it since
    return len(pks)
