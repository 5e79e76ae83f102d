"""
Progress: what a task says of itself while it runs, at most ten times a second.

It works in any function that the task calls: the job is found by itself. Outside a job it counts,
and says nothing.
"""

import logging
from contextvars import ContextVar
from time import monotonic
from typing import Any, Final

from django.db import DatabaseError, connection

from ..channels import user_channel
from ..exceptions import PublishFailed
from ..publishing import publish
from .models import MESSAGE_MAX_LENGTH, UNIT_MAX_LENGTH, Job

logger = logging.getLogger(__name__)

PUBLISH_SECONDS: Final = 0.1
SAVE_SECONDS: Final = 3.0  # between updates of the row, for pages that find no Redis

# While Redis is away, waits between attempts: doubled from the first to the last, so that a task
# loses little time to it.
RETRY_FIRST_SECONDS: Final = 1.0
RETRY_LAST_SECONDS: Final = 30.0

RATE_SECONDS: Final = 5.0  # the time over which the rate is smoothed
RATE_FIRST_SECONDS: Final = 1.0  # before that a rate means nothing

_reporter: ContextVar["Reporter | None"] = ContextVar("carillon_reporter", default=None)


class Reporter:
    """
    Carries the progress of one running job to its owner, and now and then to its row.

    ``due`` is the moment (of ``time.monotonic``) before which nothing more should be said.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.due = 0.0
        self._progress: Progress | None = None
        self._rate = Rate()
        self._next_save = monotonic() + SAVE_SECONDS
        self._retry = 0.0

    def follow(self, progress: "Progress") -> None:
        """Report ``progress`` from now on."""
        self._progress = progress
        if monotonic() >= self.due:
            self.report()

    def report(self) -> None:
        """Say where the job stands."""
        job, now = self.job, monotonic()
        self._count()
        job.tick += 1
        job.rate = self._rate.update(job.current, now)
        job.eta = None
        if job.rate and job.total is not None and job.total >= job.current:
            job.eta = (job.total - job.current) / job.rate
        self.due = now + PUBLISH_SECONDS
        try:
            if job.owner_id is not None:
                publish(user_channel(job.owner_id), "job", job.as_event(), key=job.key)
            self._retry = 0.0
        except PublishFailed as error:
            self._retry = min(self._retry * 2 or RETRY_FIRST_SECONDS, RETRY_LAST_SECONDS)
            self.due = monotonic() + self._retry
            logger.warning("Job %s goes on without being watched: %s", job.pk, error)
        if now >= self._next_save:
            self._save()
            self._next_save = monotonic() + SAVE_SECONDS

    def fields(self) -> dict[str, Any]:
        """The progress as fields of the row, for the job's last state."""
        job = self.job
        self._count()
        return {
            "current": job.current,
            "total": job.total,
            "unit": job.unit,
            "message": job.message,
        }

    def _count(self) -> None:
        if self._progress is not None:
            self.job.current = self._progress.current

    def _save(self) -> None:
        # In a transaction of the task's own the row would be locked until its end, and a failure
        # would break it.
        if connection.in_atomic_block:
            return
        try:
            Job.objects.filter(pk=self.job.pk, version=self.job.version).update(**self.fields())
        except DatabaseError as error:
            logger.warning("The progress of job %s was not saved: %s", self.job.pk, error)


class Rate:
    """Units per second, smoothed exponentially, so that it neither jumps nor lags for long."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._last = (0.0, 0.0)
        self._value: float | None = None

    def update(self, current: float, now: float) -> float | None:
        """Take a new count in; return the rate, or None while it means nothing."""
        if self._started is None:
            self._started, self._last = now, (current, now)
            return None
        before, then = self._last
        if now > then:
            rate = max(current - before, 0) / (now - then)
            weight = min((now - then) / min(now - self._started, RATE_SECONDS), 1.0)
            self._value = (
                rate if self._value is None else self._value + weight * (rate - self._value)
            )
            self._last = (current, now)
        return self._value if self._value and now - self._started >= RATE_FIRST_SECONDS else None


class Progress:
    """
    A count towards a total (None: unknown), in a unit (``"B"`` is shown as bytes).

    The count never goes back. Between two messages a call costs less than a microsecond.
    """

    __slots__ = ("_current", "_reporter")

    def __init__(self, total: int | None = None, *, unit: str = "", message: str = "") -> None:
        self._current = 0
        self._reporter = _reporter.get()
        if self._reporter is not None:
            job = self._reporter.job
            job.total = total
            job.unit, job.message = unit[:UNIT_MAX_LENGTH], message[:MESSAGE_MAX_LENGTH]
            self._reporter.follow(self)

    @property
    def current(self) -> int:
        return self._current

    def update(self, n: int = 1) -> None:
        """Count ``n`` more."""
        self.set(self._current + n)

    def set(self, current: int) -> None:
        """Set the count; a smaller one than before is ignored."""
        if current <= self._current:
            return
        self._current = current
        if self._reporter is not None and monotonic() >= self._reporter.due:
            self._reporter.report()
