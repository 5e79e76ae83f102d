"""
How a run ends that its own process can't tell of: seen from the worker's main process.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, Final
from uuid import UUID

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]
from billiard.exceptions import WorkerLostError
from celery.exceptions import TimeLimitExceeded
from celery.worker.request import Request
from django.db import connections
from django.utils.translation import gettext as _

from . import lifecycle
from .models import Job

logger = logging.getLogger(__name__)

DEATHS_MAX: Final = 3  # of its process, before a job that kills it runs no more


def from_main_process(told: Callable[..., None]) -> Callable[..., None]:
    """
    Wrap what writes to the database from a worker's main process.

    An error there must not end the worker, and no connection may be open when it forks.
    """

    @wraps(told)
    def tell(*args: Any, **kwargs: Any) -> None:
        try:
            told(*args, **kwargs)
        except Exception:
            logger.exception("How a job has ended was not noted; a sweep will find it lost")
        finally:
            _close_connections()

    return tell


def _close_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


class TrackedRequest(Request):
    """Celery's request for a run of a ``TrackedTask``."""

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Called at a time limit; past the hard one the process is killed."""
        if not soft:
            _timed_out(self.id)
        try:
            super().on_timeout(soft, timeout)
        finally:  # newer versions call the task's `on_failure` here
            _close_connections()

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        """Called for what has failed; among that, the process that is gone."""
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        # Celery reports the death of a child in one of these ways.
        died = isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt)
        known = getattr(self, "_already_revoked", False) or getattr(
            self, "_already_cancelled", False
        )
        if died and not known:
            # First, since another worker may have the message at once.
            again = self.task.acks_late and self.task.reject_on_worker_lost
            again = bool(again or getattr(self.task, "retry_on_worker_lost", False))
            _died(self.id, again, int(self.request_dict.get("retries") or 0))
        return super().on_failure(exc_info, send_failed_event, return_ok)


@from_main_process
def _timed_out(pk: str) -> None:
    reason = _("It took longer than it may.")
    lifecycle.fail(UUID(pk), f"{TimeLimitExceeded.__name__}: {reason}")


@from_main_process
def _died(pk: str, again: bool, retries: int) -> None:
    reason = _("The process that ran it has died.")
    if not again:
        lifecycle.lose(UUID(pk), reason)
    elif _starts(UUID(pk)) - retries >= DEATHS_MAX:
        # Celery would deliver it for ever; what has ended does not run.
        reason = _("The process that ran it has died %(n)s times.") % {"n": DEATHS_MAX}
        lifecycle.fail(UUID(pk), reason)
    else:
        lifecycle.retrying(UUID(pk), reason)


def _starts(pk: UUID) -> int:
    return Job.objects.filter(pk=pk).values_list("attempts", flat=True).first() or 0


@from_main_process
def revoked(sender: Any, request: Any, expired: bool = False, **kwargs: Any) -> None:
    """Note what Celery's ``revoke`` has ended, before or while it ran (``task_revoked``)."""
    from .tasks import TrackedTask

    if not isinstance(sender, TrackedTask):
        return
    try:
        pk = UUID(request.id)
    except ValueError:
        return
    if expired:
        lifecycle.fail(pk, _("It was not begun in time, and expired."))
    else:
        lifecycle.cancelled(pk, asked=False)


@from_main_process
def unknown(sender: Any, id: str, **kwargs: Any) -> None:
    """End a job whose task this worker does not know, and whose message Celery has dropped."""
    with suppress(ValueError):  # no job: its id would be a UUID
        lifecycle.fail(UUID(id), _("There is no such task any more."))
