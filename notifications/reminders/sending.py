"""
Sending an occurrence: in place where few people are addressed, and as a job where many are.

What may go wrong, and why each person still has it once:

- The process is killed within a batch: its transaction rolls back, nobody has heard of it.
- It is killed between a commit and the messages: the rows are there, and pages render from rows.
  The claim runs out, beat has the occurrence sent again, and that run tells what was not told.
- Two runs at once, since one was slow and counted as dead: the later one's ``run`` stands in the
  occurrence, and the earlier one ends at its next batch.
- Redis is away: the rows are committed, and each channel is owed a reset.
"""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import uuid4

from celery import shared_task
from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from ..conf import conf
from ..connections import exchange
from ..exceptions import InvalidMessage
from ..jobs import JobCancelled, TrackedTask, track
from ..jobs.models import UNFINISHED, Job
from ..jobs.models import State as JobState
from ..scripts import command
from . import claims, recurrence, report
from .audience import Users, audience, due_in
from .delivery import Superseded, deliver_occurrence, last_delivery, repeat_untold
from .models import Occurrence, Reminder

logger = logging.getLogger(__name__)

IN_PLACE: Final = 500  # people, who are told in well under a second

State = Occurrence.State


class NotSendable(ValueError):
    """The reminder is being sent already, or was; the text says so for people."""


def send_now(reminder: Reminder, by: Any = None) -> Occurrence:
    """
    Send ``reminder``, which is saved with its audience, at once, whatever its schedule said.

    In a transaction or out of it: nothing is told before the commit. To few people it is sent when
    this returns; to many a job of ``by`` (or whoever wrote it) sends it, queued at the commit.
    Where that can't be queued beat sees to it. Raises ``NotSendable`` unless it is a draft or
    scheduled, also where somebody else was faster.
    """
    with transaction.atomic():
        # First, as beat has it that claims one and then sets the reminder's state.
        Occurrence.objects.filter(reminder=reminder.pk, state=State.DUE).delete()
        drafts = Reminder.objects.filter(
            pk=reminder.pk, state__in=(Reminder.State.DRAFT, Reminder.State.SCHEDULED)
        )
        if not drafts.update(
            state=Reminder.State.SENDING, local_at="", rule="", version=F("version") + 1
        ):
            raise NotSendable(_("This reminder is not a draft any more, or is gone."))
        reminder.refresh_from_db()
        now = timezone.now()
        occurrence = Occurrence.objects.create(
            reminder=reminder,
            due=now,
            state=State.SENDING,
            claimed_until=now + timedelta(seconds=conf.reminder_claim_seconds),
        )
        if _is_small(users := addressed(occurrence)):
            send(occurrence, users)
        else:
            transaction.on_commit(lambda: _queue_or_postpone(occurrence, by))
    reminder.refresh_from_db()
    return occurrence


def start(reminder_id: int, local: str, zone: str, by: Any = None) -> None:
    """
    Send an occurrence that the caller has claimed, in place or by a job.

    It may be called again for the same one. While its job goes on, the claim is renewed and that
    is all; where somebody has cancelled its job, it is given up. Raises what the broker raises.
    """
    rows = Occurrence.objects.select_related("reminder").filter(
        reminder=reminder_id, local=local, zone=zone, state__in=claims.PENDING
    )
    if (occurrence := rows.first()) is None:
        return
    job = Job.objects.filter(pk=occurrence.job).first() if occurrence.job else None
    if job is not None and job.state in UNFINISHED:
        claims.renew(reminder_id, local, zone)
    elif job is not None and job.state == JobState.CANCELLED:
        give_up(occurrence)
    elif _is_small(users := addressed(occurrence)):
        send(occurrence, users)
    else:
        _queue(occurrence, by)


def send(occurrence: Occurrence, users: Users) -> int:
    """Send ``occurrence`` to those of ``users`` without it, here and now; return to how many."""
    sent = 0
    try:
        for count in _batches(occurrence, users):
            sent += count
    except Superseded:
        _say_superseded(occurrence)
    return sent


@shared_task(base=TrackedTask, name="notifications.reminders.send_occurrence")
def send_occurrence(reminder_id: int, local: str, zone: str) -> dict[str, int]:
    """Send an occurrence as a job; its bar counts people."""
    occurrence = (
        Occurrence.objects.select_related("reminder")
        .filter(reminder=reminder_id, local=local, zone=zone, state__in=claims.PENDING)
        .first()
    )
    if occurrence is None:
        return {"sent": 0}
    users = addressed(occurrence)
    total = users.count()
    sent = 0
    people = (None for count in _batches(occurrence, users) for _ in range(count))
    try:
        for _person in track(people, _("Sending"), total, _("people")):
            sent += 1
    except Superseded as error:
        _say_superseded(occurrence)
        if not Occurrence.objects.filter(pk=occurrence.pk).exclude(state=State.SKIPPED).exists():
            raise JobCancelled from error  # with the reminder
    except JobCancelled:
        give_up(occurrence)
        raise
    return {"sent": sent}


def addressed(occurrence: Occurrence) -> Users:
    """Return whom ``occurrence`` goes to if it is sent now, whether they have it or not."""
    users = audience(occurrence.reminder)
    if not occurrence.local or occurrence.reminder.zone:
        return users
    now = max(timezone.now(), occurrence.due)
    return due_in(users, occurrence.local, now, _following(occurrence))


def _following(occurrence: Occurrence) -> datetime | None:
    """
    Return the local time after this one, where who has that as well is to have that alone.

    So an occurrence that was missed in one zone is not the second one in another. One that has
    begun goes to all that it was meant for.
    """
    reminder = occurrence.reminder
    if not reminder.rule or occurrence.run is not None or conf.reminder_catch_up == "all":
        return None
    start = recurrence.parse_local(reminder.local_at)
    local = recurrence.parse_local(occurrence.local)
    times = recurrence.occurrences(recurrence.parse_rule(reminder.rule), start, local, 1)
    return times[0] if times else None


def give_up(occurrence: Occurrence) -> None:
    """Send ``occurrence`` to nobody else; who has it keeps it."""
    with transaction.atomic():
        if claims.skip(occurrence):
            once = Reminder.objects.filter(pk=occurrence.reminder_id, rule="")
            once.filter(state__in=claims.ACTIVE).update(
                state=Reminder.State.CANCELLED, version=F("version") + 1
            )


def _batches(occurrence: Occurrence, users: Users) -> Iterator[int]:
    """Send to ``users``, and yield the length of each batch once it is committed and told."""
    run = uuid4()
    rows = Occurrence.objects.filter(pk=occurrence.pk, state__in=claims.PENDING)
    reminder = occurrence.reminder
    if reminder.expires is not None and reminder.expires <= timezone.now():
        claims.skip(occurrence)
        return
    told = last_delivery(occurrence)  # before this run, and so none of its own
    if not rows.filter(run=None).update(run=run, told=told, state=State.SENDING):
        if not rows.update(run=run, state=State.SENDING):
            raise Superseded
        occurrence.refresh_from_db(fields=["told"])
        repeat_untold(occurrence, run)
    try:
        for batch in deliver_occurrence(occurrence, users, run):
            report.changed([reminder.pk])
            yield len(batch)
    except InvalidMessage:  # as it never will be valid: a text written past the forms
        give_up(occurrence)
        raise
    # After the messages: were it before, nobody would repeat those that a crash has swallowed.
    transaction.on_commit(partial(claims.finish, occurrence, run))


def _say_superseded(occurrence: Occurrence) -> None:
    logger.info("%s is not sent any further: it was cancelled, or is sent elsewhere", occurrence)


def _is_small(users: Users) -> bool:
    return len(users.order_by().values_list("pk", flat=True)[: IN_PLACE + 1]) <= IN_PLACE


def _queue_or_postpone(occurrence: Occurrence, by: Any) -> None:
    """For after a commit, where the caller can't undo anything any more."""
    try:
        exchange([command("PING")])  # rather than wait for it in each of the steps of queueing
        _queue(occurrence, by)
    except DatabaseError:
        raise
    except Exception as error:
        logger.error("%s waits for beat; it could not be queued: %s", occurrence, error)
        claims.postpone(occurrence, timezone.now())


def _queue(occurrence: Occurrence, by: Any) -> None:
    reminder = occurrence.reminder
    owner = by if by is not None else reminder.created_by_id
    title = _("Send “%(title)s”") % {"title": reminder.title}
    with transaction.atomic():
        job = send_occurrence.apply_async(
            [reminder.pk, occurrence.local, occurrence.zone], owner=owner, title=title
        ).job
        Occurrence.objects.filter(pk=occurrence.pk).update(job=job.pk)
        Reminder.objects.filter(pk=reminder.pk).update(job=job.pk)
