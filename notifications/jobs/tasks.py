"""
The base class of a Celery task whose runs are jobs::

    @shared_task(base=TrackedTask)
    def import_contacts(path): ...


    import_contacts.apply_async([path], owner=request.user, title="Contacts").job
"""

import logging
import traceback as tracebacks
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from celery.canvas import Signature, _chain, chord, group
from celery.contrib.django.task import DjangoTask
from celery.exceptions import (
    Ignore,
    Reject,
    Retry,
    SoftTimeLimitExceeded,
    TimeLimitExceeded,
)
from celery.result import AsyncResult
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from . import lifecycle, storable
from .exceptions import JobCancelled, NotPossible
from .middleware import UNSET, owner_pk
from .models import Job, State
from .patience import patiently
from .reporter import begin, end

logger = logging.getLogger(__name__)

TRACEBACK_MAX_LENGTH: Final = 100_000  # characters, of which the last are kept

# What a retry by a person uses again, beside the arguments.
KEPT_OPTIONS: Final = ("queue", "exchange", "routing_key", "priority", "time_limit")
KEPT_OPTIONS_SOFT: Final = ("soft_time_limit", "headers")


class JobResult(AsyncResult):  # type: ignore[type-arg]
    """Celery's handle on a run, with the ``job`` that stands for it."""

    job: Job


class TrackedTask(DjangoTask):  # type: ignore[type-arg]
    """
    A task whose runs have an owner, a title and a state that the owner sees live.

    The job's row is made where the task is called, in the caller's transaction; the message to
    the worker is sent when that commits.
    """

    Request = "notifications.jobs.requests:TrackedRequest"

    # The template that shows a result on the job's page, for all runs of this task.
    result_template = ""

    # Whether a person may start a job anew that has failed, was cancelled or is lost: then its
    # arguments are kept in its row, where they are JSON.
    retryable = False

    def apply_async(  # type: ignore[override]
        self,
        args: Any = None,
        kwargs: Any = None,
        task_id: str | None = None,
        *,
        owner: Any = UNSET,
        title: str = "",
        **options: Any,
    ) -> Any:
        """
        Queue the task as a job of ``owner``: a user or its primary key.

        Without it the owner is the user of the request that calls, where the middleware
        ``notifications.jobs.middleware.CurrentUser`` is installed; else, and for None, there is
        none, and the staff alone sees the job.

        Returns Celery's result with the new ``Job`` as ``job``. Raises what Celery raises when
        the broker can't be reached (``kombu.exceptions.OperationalError``), and there is no job
        then; inside a transaction that is when it commits.
        """
        if task_id is not None and owner is UNSET and not title:
            # Celery's own: a retry, or a part of a group
            return super().apply_async(args, kwargs, task_id=task_id, **options)
        pk = uuid4() if task_id is None else _uuid(task_id)
        if pk is None:
            raise ValueError(f"The id of a tracked task has to be a UUID, not {task_id!r}.")
        arguments = self._arguments(args, kwargs, options) if self.retryable else None
        job = lifecycle.create(
            pk=pk,
            owner_id=owner_pk(owner),
            title=title or self.job_title(args, kwargs),
            task=self.name,
            result_template=self.result_template,
            queue=self.job_queue(options),
            arguments=arguments,
            retryable=arguments is not None,
        )
        result: Any = JobResult(str(job.pk), app=self.app)
        send = super().apply_async

        def queue() -> None:
            nonlocal result
            try:
                sent = send(args, kwargs, task_id=str(job.pk), **options)
            except Exception:
                lifecycle.withdraw(job.pk, _("The job could not be queued."))
                raise
            if self.app.conf.task_always_eager:
                result = sent  # which has the task's result already

        transaction.on_commit(queue)
        result.job = job
        return result

    def job_title(self, args: Any, kwargs: Any) -> str:
        """Return the title of a job that was given none."""
        return str(self.name).rpartition(".")[2].replace("_", " ").capitalize()

    def job_queue(self, options: dict[str, Any]) -> str:
        """Return the name of the queue that a message goes to; "" where it can't be known."""
        try:
            # As `Task.apply_async` has it.
            preset = {"queue": queue} if (queue := getattr(self, "queue", None)) else {}
            route = self.app.amqp.router.route({**preset, **options}, self.name)
            queue = route.get("queue")
            return str(getattr(queue, "name", queue) or "")[:200]
        except Exception:
            return ""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and take down how it ended; a call without a worker is that of a function."""
        request: Any = self.request
        pk = _job_id(request)
        if pk is None or request.get("job_attempt"):  # a function, in a run of its own too
            return super().__call__(*args, **kwargs)
        worker = "" if request.is_eager else request.hostname or ""
        job = patiently(lifecycle.start, pk, worker)
        if job is None:
            state = Job.objects.filter(pk=pk).values_list("state", flat=True).first()
            if state is None:
                return self.run(*args, **kwargs)
            return self._refuse(_("The job has ended already."), State(state))
        request.job_attempt = job.attempts
        begin(job)
        try:
            result = self.run(*args, **kwargs)
        except BaseException as error:
            patiently(self._ended, pk, error, attempt=job.attempts, **end())
            request.job_told = True
            raise
        request.job_progress = end()
        return result

    def replace(self, sig: Any) -> Any:
        """
        Go on as another tracked task, which takes the place of this one in its job.

        Raises ``NotPossible`` for what would leave the job without an end: a task that isn't
        tracked, and a canvas, which ``start_group`` makes a job of its own.
        """
        request: Any = self.request
        if request.get("job_attempt"):
            if isinstance(sig, (group, chord, _chain)) or not _is_tracked(sig):
                raise NotPossible(
                    f"A job can be replaced by one TrackedTask, not by {sig.task}. "
                    "A group, chord or chain is started as a job by start_group()."
                )
            request.job_replaced = sig
        return super().replace(sig)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        request: Any = self.request
        pk = _job_id(request)
        if pk is not None and request.get("job_attempt"):
            patiently(lifecycle.succeed, pk, retval, **request.job_progress)

    def on_failure(
        self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        # Beside what `__call__` has told: a result that Celery can't store, a time limit.
        request: Any = self.request
        pk = _uuid(task_id)
        if pk is None or request.get("job_told"):
            return
        trace = str(getattr(einfo, "traceback", "") or "")[-TRACEBACK_MAX_LENGTH:]
        run = {"attempt": request.get("job_attempt"), **(request.get("job_progress") or {})}
        patiently(lifecycle.fail, pk, _error(exc), traceback=trace, **run)

    def _arguments(self, args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
        kept = {
            name: options[name] for name in (*KEPT_OPTIONS, *KEPT_OPTIONS_SOFT) if name in options
        }
        try:
            return storable.pack(
                {"args": list(args or ()), "kwargs": dict(kwargs or {}), "options": kept}
            )
        except storable.NotStorable as error:
            logger.warning("A job of %s can't be tried again by hand: %s", self.name, error)
            return None

    def _refuse(self, reason: str, state: State) -> Any:
        """End without a run."""
        if state != State.SUCCEEDED:  # else its chord has its result
            self._release(reason)
        raise Ignore(reason)

    def _release(self, reason: str) -> None:
        """A chord that waits for this part must not go on waiting."""
        request: Any = self.request
        if request.chord:
            self.backend.mark_as_revoked(request.id, reason, request=request, store_result=False)

    def _ended(self, pk: UUID, error: Any, **run: Any) -> None:
        """Take down how a run ended that did not return."""
        if isinstance(error, JobCancelled):
            if lifecycle.cancelled(pk, asked=False, **run) is not None:
                self._release(_("The job was cancelled."))
        elif isinstance(error, Retry):
            why = _error(error.exc) if error.exc else ""
            lifecycle.retrying(pk, why, _moment(error.when), **run)
        elif isinstance(error, Reject):
            self._rejected(pk, error, run)
        elif isinstance(error, Ignore):
            if (sig := self.request.get("job_replaced")) is None:  # it gave up
                lifecycle.cancelled(pk, asked=False, error=str(error)[:1000], **run)
                return
            queue, template = sig.type.job_queue(sig.options), sig.type.result_template
            lifecycle.replaced(pk, queue=queue, template=template, **run)
        elif isinstance(error, Exception):
            lifecycle.fail(pk, _error(error), traceback=_traceback(error), **run)
        # Else the process ends; who watches it says what became of the job.

    def _rejected(self, pk: UUID, reject: Any, run: dict[str, Any]) -> None:
        reason = f"Reject: {reject.reason}" if reject.reason else "Reject"
        if reject.requeue:
            lifecycle.retrying(pk, reason, **run)
        else:
            lifecycle.fail(pk, reason, **run)


def _is_tracked(sig: Signature[Any]) -> bool:
    try:
        return isinstance(sig.type, TrackedTask)
    except KeyError:  # a task of other workers, known here by its name alone
        return False


def _job_id(request: Any) -> UUID | None:
    return None if request.called_directly else _uuid(request.id)


def _uuid(task_id: Any) -> UUID | None:
    try:
        return UUID(str(task_id))
    except ValueError:
        return None


def _moment(when: Any) -> datetime | None:
    """When a retry is due, from what Celery knows: a time, or seconds from now."""
    if isinstance(when, datetime):
        return timezone.make_aware(when) if timezone.is_naive(when) else when
    if isinstance(when, (int, float)):
        return timezone.now() + timedelta(seconds=when)
    return None


def _error(error: BaseException | str) -> str:
    """The type and the message, as the owner reads it."""
    if isinstance(error, SoftTimeLimitExceeded | TimeLimitExceeded):
        return f"{type(error).__name__}: {_('It took longer than it may.')}"
    name = type(error).__name__
    return f"{name}: {error}" if str(error) else name


def _traceback(error: BaseException) -> str:
    return "".join(tracebacks.format_exception(error))[-TRACEBACK_MAX_LENGTH:]
