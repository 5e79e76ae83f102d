"""
What a person may do to a job: cancel it, and start it anew.
"""

import logging
from typing import Any
from uuid import UUID

from celery import current_app
from celery.exceptions import NotRegistered
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from ..exceptions import RedisUnavailable
from . import lifecycle, live, members, signs, storable
from .exceptions import NotPossible
from .models import FINISHED, Job, State
from .transitions import change

logger = logging.getLogger(__name__)


def may_control(user: Any, job: Job) -> bool:
    """Whether a user may cancel and retry a job: its owner, or staff who may change jobs."""
    if user is None or not user.is_authenticated or not user.is_active:
        return False
    return bool(job.owner_id == user.pk or (user.is_staff and user.has_perm("jobs.change_job")))


def cancel(job: Job, by: Any = None) -> bool:
    """
    End a job before its time; False where it has ended or was cancelled already.

    One that waits never starts. One that runs is raised ``JobCancelled`` where it reports its
    progress next, within about a second, and is ended by force after
    ``JOB_CANCEL_GRACE_SECONDS``, where its pool can do that. Of a group, all members are
    cancelled. Raises ``PermissionDenied`` where ``by``, a user, may not.
    """
    _check(by, job)
    if job.is_group:
        return _cancel_group(job)
    now = timezone.now()
    # With the wish its progress is said, too, and must not fall behind what was said of it.
    newest = live.unsaved(job.pk)
    with transaction.atomic():
        waits = (State.QUEUED, State.RETRYING)
        Job.objects.filter(pk=job.pk, state__in=waits).update(cancel_requested=now)
        if lifecycle.cancelled(job.pk, before=waits):
            return True
        open_wish = {"cancel_requested": None}
        wish = {"cancel_requested": now, **newest}
        if change(job.pk, (State.RUNNING,), open_wish, **wish) is None:
            return False
        transaction.on_commit(lambda: _pass_on([job.pk]))
    return True


def _cancel_group(job: Job) -> bool:
    with transaction.atomic():
        running = job.members.filter(state=State.RUNNING, cancel_requested=None)
        ids = list(running.values_list("pk", flat=True))
        done = members.cancel(job.pk, ids)
        transaction.on_commit(lambda: _pass_on(ids))
    return done


def _pass_on(ids: list[UUID]) -> None:
    try:
        signs.ask_to_cancel(ids)
    except RedisUnavailable as error:
        # A run without Redis looks into the database, and the sweep ends it in the end.
        logger.warning("%s", error)


def retry(job: Job, by: Any = None) -> Job:
    """
    Start a job anew that has failed, was cancelled or is lost, and return the new job.

    It has the same task, arguments, owner and title. A job can be tried again once; its successor
    has its own turn. Raises ``PermissionDenied`` where ``by``, a user, may not, ``NotPossible``
    where the job does not allow it, and Celery's ``OperationalError`` where the broker can't be
    reached; then it may be tried again later.
    """
    _check(by, job)
    task = _task(job.task)
    again = {"retryable": True, "parent": None}
    lost = job.state == State.LOST
    # A lost one that is delivered after all must not run beside the new one.
    wish = {"cancel_requested": timezone.now()} if lost else {}
    open_to_it = FINISHED & {State(job.state)} - {State.SUCCEEDED}
    if change(job.pk, open_to_it, again, retryable=False, **wish) is None:
        raise NotPossible(_("This job can't be tried again."))
    if lost:
        transaction.on_commit(lambda: _pass_on([job.pk]))
    kept = storable.unpack(job.arguments)
    try:
        result = task.apply_async(
            kept["args"], kept["kwargs"], owner=job.owner_id, title=job.title, **kept["options"]
        )
    except Exception:
        change(job.pk, FINISHED, retryable=True, **dict.fromkeys(wish))
        raise
    new: Job = result.job
    return new


def _task(name: str) -> Any:
    if name not in current_app.tasks:
        # A web process knows only the tasks that its views have imported.
        current_app.loader.import_default_modules()
    try:
        return current_app.tasks[name]
    except NotRegistered as error:
        raise NotPossible(_("There is no such task any more.")) from error


def _check(by: Any, job: Job) -> None:
    if by is not None and not may_control(by, job):
        raise PermissionDenied
