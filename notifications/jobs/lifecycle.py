"""
The life of a job, a verb for each step.

    queued ──► running ──► succeeded, failed, cancelled
                │   ▲
                ▼   │                    lost: its worker was not heard of any more; it runs again
              retrying                   as soon as it is

Each step changes the row once and is said after the commit; one that comes twice or too late
does nothing and returns None. What a run reports of itself carries its ``attempt``, so that a
worker that comes back late can't end the attempt that took its place.
"""

import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from . import live, members, storable
from .models import ERROR_MAX_LENGTH, TITLE_MAX_LENGTH, UNFINISHED, Job, State
from .signs import cancel_requested
from .transitions import change, say

logger = logging.getLogger(__name__)

__all__ = ["cancel_requested", "create", "fail", "retrying", "start", "succeed"]

MESSAGE_SENT = (State.QUEUED, State.RUNNING, State.RETRYING, State.LOST)


def create(*, owner_id: Any, title: str, task: str, **fields: Any) -> Job:
    """Make the row of a job that is about to be queued; ``fields`` are others of the row."""
    with transaction.atomic():
        job = Job.objects.create(
            owner_id=owner_id,
            title=storable.clean(str(title))[:TITLE_MAX_LENGTH],
            task=task,
            **fields,
        )
        say(job)
    return job


def start(pk: UUID, worker: str = "") -> Job | None:
    """
    Mark a job as running: for the first time, after a retry, or as it was delivered again.

    None where it isn't there, has ended, or was cancelled; then it must not run.
    """
    now = timezone.now()
    with transaction.atomic():
        changes: dict[str, Any] = {
            "state": State.RUNNING,
            "attempts": F("attempts") + 1,
            "started": Coalesce("started", now),
            "finished": None,
            "retry_at": None,
            "heartbeat": now,
            "worker": worker[:200],
            "error": "",
            "traceback": "",
            # A new attempt begins with an empty bar.
            "message": "",
            "unit": "",
            "current": 0,
            "total": None,
            "fraction": None,
            "steps": [],
        }
        job = _from_any(pk, MESSAGE_SENT, {"cancel_requested": None}, **changes)
        if job is None:
            cancelled(pk, before=MESSAGE_SENT)
        elif job.parent_id is not None:
            members.started(job)
    return job


def succeed(pk: UUID, result: Any = None, **progress: Any) -> Job | None:
    """Mark a job as done, with its result (JSON, or text if it isn't)."""
    value, is_json = storable.result(result)
    note = ""
    if not is_json:
        logger.warning("The result of job %s is not JSON and is kept as text", pk)
        note = _("The result is not JSON; this is its text.")
    return _end(
        pk,
        (State.RUNNING, State.RETRYING, State.LOST),
        State.SUCCEEDED,
        result=value,
        result_note=note,
        error="",
        **progress,
    )


def fail(
    pk: UUID, error: str, *, traceback: str = "", attempt: int | None = None, **progress: Any
) -> Job | None:
    """Mark a job as failed, with a sentence for its owner and the traceback for the staff."""
    return _end(
        pk,
        MESSAGE_SENT,
        State.FAILED,
        attempt,
        error=_short(error),
        traceback=storable.clean(traceback),
        **progress,
    )


def retrying(
    pk: UUID,
    error: str,
    when: datetime | None = None,
    *,
    attempt: int | None = None,
    **progress: Any,
) -> Job | None:
    """
    Mark a running job as one that will run again, at ``when`` or as soon as a worker takes it.

    One that somebody has cancelled meanwhile ends here.
    """
    where: dict[str, Any] = {"cancel_requested": None}
    if attempt is not None:
        where["attempts"] = attempt
    fields = {"error": _short(error), **(progress or live.unsaved(pk))}
    job = change(
        pk, (State.RUNNING,), where, state=State.RETRYING, retry_at=when, heartbeat=None, **fields
    )
    if job is None:
        cancelled(pk, attempt=attempt, before=(State.RUNNING,))
    return job


def replaced(pk: UUID, *, attempt: int, queue: str, template: str, **progress: Any) -> Job | None:
    """Mark a running job as one that waits for the task that it has put in its own place."""
    return change(
        pk,
        (State.RUNNING,),
        {"attempts": attempt},
        state=State.QUEUED,
        heartbeat=None,
        queue=queue,
        result_template=template,
        **progress,
    )


def cancelled(
    pk: UUID,
    *,
    attempt: int | None = None,
    before: tuple[State, ...] = MESSAGE_SENT,
    asked: bool = True,
    **progress: Any,
) -> Job | None:
    """Mark a job as ended because somebody wanted it so; ``asked``: only if they did ask here."""
    where = {"cancel_requested__isnull": False} if asked else {}
    return _end(pk, before, State.CANCELLED, attempt, where, **progress)


def lose(pk: UUID, error: str, before: tuple[State, ...] = tuple(UNFINISHED)) -> Job | None:
    """Mark a job as lost: neither its run nor its message can be found any more."""
    return cancelled(pk, before=before) or _end(pk, before, State.LOST, error=_short(error))


def find(pk: UUID) -> Job | None:
    """Mark a lost job as running again, since its worker was heard of."""
    with transaction.atomic():
        job = change(
            pk,
            (State.LOST,),
            {"attempts__gt": 0},
            state=State.RUNNING,
            finished=None,
            error="",
            heartbeat=timezone.now(),
        )
        if job is not None and job.parent_id is not None:
            members.found(job)
    return job


def withdraw(pk: UUID, error: str) -> None:
    """
    Remove a job that never got on its way; pages that have seen it are told it failed.

    One that a worker has taken up all the same stays, and so does one that has run at once.
    """
    if _end(pk, (State.QUEUED,), State.FAILED, error=_short(error)):
        Job.objects.filter(pk=pk).delete()


def _end(
    pk: UUID,
    before: tuple[State, ...],
    state: State,
    attempt: int | None = None,
    where: dict[str, Any] | None = None,
    **changes: Any,
) -> Job | None:
    where = dict(where or {})
    if attempt is not None:
        where["attempts"] = attempt
    if State.RUNNING in before and "log_tail" not in changes:
        # The run does not tell of its end itself: what it said last is all that is known.
        changes = live.unsaved(pk) | changes
    changes |= {"state": state, "finished": timezone.now(), "retry_at": None}
    with transaction.atomic():
        job = _from_any(pk, before, where, **changes)
        if job is not None and job.parent_id is not None:
            members.ended(job)
    return job


def _from_any(
    pk: UUID, before: tuple[State, ...], where: dict[str, Any], **changes: Any
) -> Job | None:
    """Change a job; a member that had been given up as lost is counted back first."""
    if job := change(pk, set(before) - {State.LOST}, where, **changes):
        return job
    if State.LOST in before and (job := change(pk, (State.LOST,), where, **changes)):
        if job.parent_id is not None:
            members.found(job)
        return job
    return None


def _short(error: str) -> str:
    return Truncator(storable.clean(error)).chars(ERROR_MAX_LENGTH)
