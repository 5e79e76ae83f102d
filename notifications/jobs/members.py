"""
The members of a group, chord or chain that is one job: their steps, counted for the whole.

The job starts with the first of its members and ends with the last. A member that has failed counts
as one that has ended; those that would have followed it are cancelled. Each function belongs in the
transaction of the member's own step: members are locked before their group, here as everywhere, or
two could wait for each other.
"""

from typing import Any, Final, cast
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import ngettext

from ..messages import Draft
from ..publishing import publish_many_on_commit
from . import group_bar
from .models import CHANNEL_PREFIX, LARGE, UNFINISHED, Job, State
from .transitions import change

NAMED_MAX: Final = 200  # members of which each is said that it was cancelled


def started(member: Job) -> None:
    """The first member to start starts the group."""
    now = timezone.now()
    job = change(
        _parent(member),
        (State.QUEUED,),
        state=State.RUNNING,
        started=Coalesce("started", now),
        heartbeat=now,
    )
    parent = job or Job.objects.defer(*LARGE).filter(pk=_parent(member)).first()
    if parent is not None:
        group_bar.remember(parent)


def ended(member: Job) -> None:
    """Count a member that has ended; the last one ends the group."""
    if member.state == State.SUCCEEDED:
        _count(_parent(member), done=1)
    else:
        _count(_parent(member), failed=1 + _drop(_followers(member)))
    _settle(_parent(member), member)


def found(member: Job) -> None:
    """Count a member back that had been lost and is running again, and what may follow it."""
    parent = _parent(member)
    dropped = _followers(member, State.CANCELLED).filter(
        attempts=0, parent__cancel_requested=None, cancel_requested=None
    )
    back = Job.objects.filter(pk__in=list(dropped.values_list("pk", flat=True))).update(
        state=State.QUEUED, finished=None, version=F("version") + 1
    )
    _count(parent, failed=-1 - back)
    if change(parent, (State.LOST,), state=State.RUNNING, finished=None, error=""):
        group_bar.note(parent, over=False)


def drop(parent: UUID, members: Any) -> None:
    """Mark members that wait as cancelled, all at once."""
    _count(parent, failed=_drop(members))
    _settle(parent, None)


def cancel(parent: UUID, running: list[UUID]) -> bool:
    """
    Cancel the members that wait, and note the wish for those that run; False if it was noted.

    Where nothing runs, the group has ended then.
    """
    now = timezone.now()
    wish = {"cancel_requested": now, "version": F("version") + 1}
    Job.objects.filter(pk__in=running).update(**wish)
    members = Job.objects.filter(parent_id=parent, state__in=(State.QUEUED, State.RETRYING))
    dropped = _drop(members)
    job = Job.objects.defer(*LARGE).filter(pk=parent).first()
    bar = {} if job is None else _bar(job)
    job = change(parent, UNFINISHED, {"cancel_requested": None}, cancel_requested=now, **bar)
    _count(parent, failed=dropped)
    _settle(parent, None)
    return job is not None


def _drop(members: Any) -> int:
    """Mark members as cancelled at once; the first of them are named to who watches the group."""
    named = list(members.values_list("pk", flat=True)[:NAMED_MAX])
    dropped: int = members.update(
        state=State.CANCELLED, finished=timezone.now(), version=F("version") + 1
    )
    rows = Job.objects.defer(*LARGE).filter(pk__in=named, state=State.CANCELLED)
    publish_many_on_commit(
        [Draft(f"{CHANNEL_PREFIX}{row.parent_id}", "member", row.as_event()) for row in rows]
    )
    return dropped


def _parent(member: Job) -> UUID:
    return cast("UUID", member.parent_id)


def _count(parent: UUID, *, done: int = 0, failed: int = 0) -> None:
    Job.objects.filter(pk=parent).update(
        members_done=F("members_done") + done, members_failed=F("members_failed") + failed
    )


def _followers(member: Job, state: State = State.QUEUED) -> Any:
    """
    Return the members that would have run after this one, had it succeeded.

    Where it stands in a step of a chain, these are the later steps of the same chain.
    """
    later = Q(pk__in=())
    parts = member.place.split(".")
    for depth, part in enumerate(parts):
        if part.startswith("c"):
            before = ".".join([*parts[:depth], ""])
            later |= (
                Q(place__startswith=f"{before}c")
                & Q(place__gt=f"{before}{part}")
                & ~Q(place__startswith=f"{before}{part}")
            )
    return Job.objects.filter(later, parent_id=member.parent_id, state=state)


def _settle(parent: UUID, last: Job | None) -> None:
    job = Job.objects.defer(*LARGE).filter(pk=parent).first()
    if job is None:
        return
    if job.members_done + job.members_failed < job.members_total:
        if last is not None:
            group_bar.remember(job)
            transaction.on_commit(lambda: group_bar.advance(parent, last.pk, 1.0))
        return
    state, error = _outcome(job)
    changes: dict[str, Any] = {"state": state, "error": error, "finished": timezone.now()}
    if state == State.SUCCEEDED:
        changes |= {"fraction": 1.0, **_result(job)}
    else:
        changes |= _bar(job)
    group_bar.note(parent, over=True)
    change(parent, UNFINISHED, **changes)
    group_bar.forget(parent)


def _bar(job: Job) -> dict[str, Any]:
    """How far it came, for its row, which has not heard of it since."""
    reached = group_bar.reached(job)
    return {} if reached is None else {"fraction": reached}


def _outcome(job: Job) -> tuple[State, str]:
    rows = Job.objects.filter(parent_id=job.pk).values_list("state").annotate(Count("pk"))
    counts = dict(rows.order_by())
    if job.cancel_requested is not None and counts.get(State.CANCELLED):
        return State.CANCELLED, ""
    for state in (State.FAILED, State.LOST, State.CANCELLED):
        if number := counts.get(state, 0):
            text = {
                State.FAILED: ngettext("%(n)s part failed.", "%(n)s parts failed.", number),
                State.LOST: ngettext("%(n)s part was lost.", "%(n)s parts were lost.", number),
                State.CANCELLED: ngettext(
                    "%(n)s part was cancelled.", "%(n)s parts were cancelled.", number
                ),
            }[state]
            return state, text % {"n": number}
    return State.SUCCEEDED, ""


def _result(job: Job) -> dict[str, Any]:
    """The result of the task that came last, where one task alone did."""
    last = Job.objects.filter(parent_id=job.pk).order_by("-place").first()
    if last is None or any(part.startswith("g") for part in last.place.split(".")):
        return {}
    return {
        "result": last.result,
        "result_note": last.result_note,
        "result_template": last.result_template,
    }
