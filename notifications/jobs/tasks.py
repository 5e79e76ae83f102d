"""
The base class of a Celery task whose runs are jobs::

    @shared_task(base=TrackedTask)
    def import_contacts(path): ...


    import_contacts.apply_async([path], owner=request.user, title="Contacts").job
"""

import logging
from typing import Any
from uuid import UUID

from celery import Task
from celery.result import AsyncResult
from django.db import transaction
from django.utils.translation import gettext as _

from . import lifecycle
from .models import Job
from .progress import Reporter, _reporter

logger = logging.getLogger(__name__)


class JobResult(AsyncResult):  # type: ignore[type-arg]
    """Celery's handle on a run, with the ``job`` that stands for it."""

    job: Job


class TrackedTask(Task):  # type: ignore[type-arg]
    """
    A task whose runs have an owner, a title and a state that the owner sees live.

    The job's row is made where the task is called, in the caller's transaction; the message to
    the worker is sent when that commits.
    """

    # The template that shows a result on the job's page, for all runs of this task.
    result_template = ""

    def apply_async(  # type: ignore[override]
        self,
        args: Any = None,
        kwargs: Any = None,
        task_id: str | None = None,
        *,
        owner: Any = None,
        title: str = "",
        **options: Any,
    ) -> Any:
        """
        Queue the task as a job of ``owner`` (a user, its primary key, or None: staff only).

        Returns Celery's result with the new ``Job`` as ``job``. Raises what Celery raises when
        the broker can't be reached (``kombu.exceptions.OperationalError``), and there is no job
        then; inside a transaction that is when it commits.
        """
        if task_id is not None:  # Celery's own: a retry, or a part of a group
            return super().apply_async(args, kwargs, task_id=task_id, **options)
        job = lifecycle.create(
            owner_id=getattr(owner, "pk", owner),
            title=title or self.name.rpartition(".")[2].replace("_", " ").capitalize(),
            task=self.name,
            result_template=self.result_template,
        )
        send = super().apply_async

        def queue() -> None:
            try:
                send(args, kwargs, task_id=str(job.pk), **options)
            except Exception:
                lifecycle.withdraw(job.pk, _("The job could not be queued."))
                raise

        transaction.on_commit(queue)
        result = JobResult(str(job.pk), app=self.app)
        result.job = job
        return result

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        job = lifecycle.start(UUID(task_id)) if _is_job(task_id) else None
        _reporter.set(Reporter(job) if job else None)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        if _is_job(task_id):
            lifecycle.succeed(UUID(task_id), retval, **_last_progress())

    def on_failure(
        self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        if _is_job(task_id):
            error = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
            lifecycle.fail(UUID(task_id), error, **_last_progress())

    def after_return(self, *args: Any) -> None:
        _reporter.set(None)


def _is_job(task_id: str) -> bool:
    try:
        UUID(task_id)
    except ValueError:
        return False
    return True


def _last_progress() -> dict[str, Any]:
    reporter = _reporter.get()
    return reporter.fields() if reporter else {}
