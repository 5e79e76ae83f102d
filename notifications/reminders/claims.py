"""
Claims on occurrences: who sends one says so first, for a while, and says when it is done.

Each is one conditional UPDATE, so of many beats and workers at once one gets it. A claim that was
not renewed in time is nobody's again: its holder has crashed. Should it only have been slow, two
send at once, and the unique row per (reminder, occurrence, person) keeps each person at one.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from ..conf import conf
from .models import Occurrence, Reminder

State = Occurrence.State

PENDING: Final = (State.DUE, State.SENDING)
ACTIVE: Final = (Reminder.State.SCHEDULED, Reminder.State.SENDING)  # beat looks after these

RETRY_SECONDS: Final = 5  # after a sending that could not even begin


def free(now: datetime) -> Q:
    """What may be claimed: what is due, and what was claimed by somebody who has not finished."""
    length = timedelta(seconds=conf.reminder_claim_seconds)
    # A claim that lasts for longer than claims do was made before the clock went back.
    over = Q(claimed_until__lt=now) | Q(claimed_until__gt=now + 2 * length)
    return Q(state=State.DUE, due__lte=now) | (Q(state=State.SENDING) & over)


def claim(occurrence: Occurrence, now: datetime) -> bool:
    """Take the occurrence for ``REMINDER_CLAIM_SECONDS``; return whether nobody else has it."""
    taken = _rows(occurrence.pk).filter(free(now), reminder__state__in=ACTIVE)
    if not taken.update(state=State.SENDING, claimed_until=_end(now)):
        return False
    once = Reminder.objects.filter(pk=occurrence.reminder_id, rule="")
    once.filter(state=Reminder.State.SCHEDULED).update(state=Reminder.State.SENDING)
    return True


def renew(reminder_id: int, local: str, zone: str) -> None:
    """Keep the claim for another ``REMINDER_CLAIM_SECONDS``."""
    rows = Occurrence.objects.filter(reminder_id=reminder_id, local=local, zone=zone)
    rows.filter(state=State.SENDING).update(claimed_until=_end(timezone.now()))


def postpone(occurrence: Occurrence, now: datetime) -> None:
    """Let the occurrence, which could not be sent now, be claimed again in a moment."""
    rows = _rows(occurrence.pk).filter(state=State.SENDING)
    rows.update(claimed_until=now + timedelta(seconds=RETRY_SECONDS))


def finish(reminder_id: int, local: str, zone: str) -> None:
    """
    Take down that everybody has the occurrence, and that all of the reminder is sent if so.

    For after the last batch was committed, or in its transaction.
    """
    rows = Occurrence.objects.filter(reminder_id=reminder_id, local=local, zone=zone)
    rows.filter(state__in=PENDING).update(state=State.SENT, claimed_until=None)
    # Two that finish at once each see the other as pending until they have committed.
    transaction.on_commit(lambda: settle(reminder_id))


def settle(reminder_id: int) -> bool:
    """Call the reminder sent if nothing of it is to come."""
    pending = Occurrence.objects.filter(reminder=OuterRef("pk"), state__in=PENDING)
    done = Reminder.objects.filter(~Exists(pending), pk=reminder_id, state__in=ACTIVE)
    return bool(done.update(state=Reminder.State.SENT, sent_at=timezone.now()))


def _rows(pk: Any) -> Any:
    return Occurrence.objects.filter(pk=pk)


def _end(now: datetime) -> datetime:
    return now + timedelta(seconds=conf.reminder_claim_seconds)
