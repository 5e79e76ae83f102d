"""
Claims on occurrences: who sends one says so first, for a while, and says when it is done.

Each is one conditional UPDATE, so of many beats and workers at once one gets it. A claim that was
not renewed in time is nobody's again: its holder has crashed. Should it only have been slow, two
send at once, and the unique row per (reminder, occurrence, person) keeps each person at one.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

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
    if not taken.update(state=State.SENDING, claimed_until=_claim_end(now)):
        return False
    once = Reminder.objects.filter(pk=occurrence.reminder_id, rule="")
    once.filter(state=Reminder.State.SCHEDULED).update(state=Reminder.State.SENDING)
    return True


def renew(reminder_id: int, local: str, zone: str) -> None:
    """Keep the claim for another ``REMINDER_CLAIM_SECONDS``."""
    rows = Occurrence.objects.filter(reminder_id=reminder_id, local=local, zone=zone)
    rows.filter(state=State.SENDING).update(claimed_until=_claim_end(timezone.now()))


def postpone(occurrence: Occurrence, now: datetime) -> None:
    """Let the occurrence, which could not be sent now, be claimed again in a moment."""
    rows = _rows(occurrence.pk).filter(state=State.SENDING)
    rows.update(claimed_until=now + timedelta(seconds=RETRY_SECONDS))


def finish(occurrence: Occurrence, run: UUID) -> None:
    """
    Take down that everybody has the occurrence, and that all of the reminder is sent if so.

    For after the last batch was committed, or in its transaction; changes nothing where ``run``
    has lost the occurrence to another one.
    """
    _end_with(_rows(occurrence.pk).filter(run=run), occurrence.reminder_id, State.SENT)


def skip(occurrence: Occurrence) -> bool:
    """Send the occurrence to nobody, or to nobody else; return whether it was still to be sent."""
    return _end_with(_rows(occurrence.pk), occurrence.reminder_id, State.SKIPPED)


def settle(reminder_id: int) -> bool:
    """
    End the reminder if nothing of it is to come; return whether it did.

    It is sent where one of its occurrences was. Else it has expired before, or was given up.
    """
    its = Occurrence.objects.filter(reminder=OuterRef("pk"))
    done = Reminder.objects.filter(
        ~Exists(its.filter(state__in=PENDING)), pk=reminder_id, state__in=ACTIVE
    )
    now = timezone.now()
    was_sent = done.filter(Exists(its.filter(state=State.SENT)))
    return bool(
        was_sent.update(state=Reminder.State.SENT, sent_at=now)
        or done.filter(expires__lte=now).update(state=Reminder.State.EXPIRED)
        or done.update(state=Reminder.State.CANCELLED)
    )


def _end_with(rows: Any, reminder_id: int, state: State) -> bool:
    with transaction.atomic():
        if not rows.filter(state__in=PENDING).update(state=state, claimed_until=None):
            return False
        # Two that end at once each see the other as pending until it has committed: the later one
        # waits for that.
        list(Reminder.objects.select_for_update().filter(pk=reminder_id).values_list("pk"))
        settle(reminder_id)
    return True


def _rows(pk: Any) -> Any:
    return Occurrence.objects.filter(pk=pk)


def _claim_end(now: datetime) -> datetime:
    return now + timedelta(seconds=conf.reminder_claim_seconds)
