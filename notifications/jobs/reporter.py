"""
The reporter: carries what one running job says of itself to its owner, and at times to its row.

``begin(job)`` where a run starts, ``end()`` where it is over, in the same thread or greenlet.
Between them any function below finds the job by itself.
"""

import asyncio
import logging
from math import inf
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from django.db import DatabaseError, connection

from ..channels import user_channel
from ..exceptions import NotificationsError
from ..messages import Draft
from ..publishing import publish_many
from . import group_bar
from .course import Course, Measure
from .exceptions import JobCancelled
from .logs import Lines
from .models import FINISHED, LARGE, Job, State
from .phases import Item, Scope, Step
from .running import running
from .signs import cancel_requested
from .ticker import ticker
from .transitions import say

if TYPE_CHECKING:
    from .progress import Progress

logger = logging.getLogger(__name__)

PUBLISH_SECONDS: Final = 0.1
SAVE_SECONDS: Final = 3.0  # between updates of the row, for pages that find no Redis
CANCEL_SECONDS: Final = 1.0  # between looks whether the job was cancelled
LOOK_PAUSES: Final = 20  # and so many times what a look takes, which may be long without Redis

# While Redis is away, waits between attempts: doubled from the first to the last, so that a task
# loses little time to it.
RETRY_FIRST_SECONDS: Final = 1.0
RETRY_LAST_SECONDS: Final = 30.0

END_SECONDS: Final = 5.0  # that the end of a job waits for what is being said, at most


def begin(job: Job) -> "Reporter":
    """Let ``job`` be the one that runs here, until ``end()``. A job within a job is no trouble."""
    reporter = Reporter(job, outer=running.get())
    running.set(reporter)
    return reporter


def end() -> dict[str, Any]:
    """
    End what ``begin`` began; return the last progress and the log as fields of the row.

    When it returns nothing more will be said of the job's progress. No job: no fields.
    """
    reporter = running.get()
    if reporter is None:
        return {}
    running.set(reporter.outer)
    return reporter.end()


class Reporter:
    """
    The progress and the log of one run.

    It speaks at most ten times a second, from the task's own thread where the task comes by, else
    from the ``ticker``'s. ``due`` is the moment (of ``time.monotonic``) before which the task has
    nothing to do here.
    """

    def __init__(self, job: Job, outer: "Reporter | None" = None) -> None:
        now = monotonic()
        self.job = job
        self.outer = outer
        self.due = 0.0

        self._course = Course()
        self._lines = Lines(job.log_lines, job.log_tail if job.log_lines else ())

        self._speaking = Lock()
        self._said: Measure | None = None
        self._may_speak = 0.0
        self._retry = 0.0
        self._next_save = now + SAVE_SECONDS
        self._watched = self._ended = self._in_loop = False
        self._superseded = False

        self._next_look = now + CANCEL_SECONDS
        self._cancelled = self._stopped = False

    # What the task does

    def open(self, count: "Progress") -> Scope:
        """Follow a new count; return the scope that it counts in."""
        scope = self._course.open(count)
        self.point()
        return scope

    def enter(self, count: "Progress") -> Item:
        """Take what happens from now on as the handling of one of the things counted."""
        return self._course.enter(count)

    def leave(self, count: "Progress", scope: Scope, item: Item, *, complete: bool) -> None:
        """End what ``enter`` began; where that did not come to its end, nothing is raised."""
        self._course.leave(count, scope, item, complete=complete)
        if complete:
            self.point()

    def announce(self, steps: list[Step]) -> None:
        self._course.announce(steps)
        self.point()

    def enter_step(self, step: Step) -> tuple[Scope, Step]:
        entered = self._course.enter_step(step)
        try:
            self.point()
        except BaseException:
            self._course.leave_step(*entered, complete=False)
            raise
        return entered

    def leave_step(self, scope: Scope, step: Step, *, complete: bool) -> None:
        self._course.leave_step(scope, step, complete=complete)
        if complete:
            self.point()

    def log(self, text: object, level: str) -> None:
        self._lines.add(text, level)
        self.point()

    def point(self) -> None:
        """
        Say what is unsaid, if it is time to. Every call of a task comes by here now and then.

        Raises ``JobCancelled``, once, where the job's cancellation was asked for. Nothing else is
        raised: a job goes on without being watched.
        """
        if self._ended:
            return
        if not self._watched:
            self._watched = True
            ticker.add(self)
        now = monotonic()
        if now < self.due:
            return
        self.due = now + PUBLISH_SECONDS
        self._in_loop = _in_event_loop()
        # In an event loop, and while Redis is away, the ticker does all that could block.
        aside = self._in_loop or bool(self._retry)
        if not aside:
            self._look(now)
        if self._cancelled and not self._stopped:
            self._stopped = True
            raise JobCancelled
        if not aside:
            self._speak(now)
        if not self._in_loop and now >= self._next_save:
            self._save()
            self._next_save = monotonic() + SAVE_SECONDS

    def end(self) -> dict[str, Any]:
        ticker.remove(self)
        self._ended, self.due = True, inf
        # The ticker may be saying something just now. A time limit, which is raised anywhere, may
        # have left the lock behind: so the wait has an end.
        self._speaking.acquire(timeout=END_SECONDS)
        measure = self.measure()
        if self._lines.waiting and not self._retry and not self._superseded:
            self._publish(self._line_drafts(self._lines.take()))
        return {
            **measure._asdict(),
            "log_tail": self._lines.tail(),
            "log_lines": self._lines.count,
        }

    # What the ticker does

    def tick(self) -> None:
        """Say what the task left unsaid, ten times a second."""
        now = monotonic()
        for count in tuple(self._course.followed):
            count.kick()
        if self._in_loop or self._retry:
            self._look(now)
        # The task goes first.
        if now < self._may_speak + PUBLISH_SECONDS:
            return
        if self._lines.waiting or self.measure() != self._said or self._course.stands_still(now):
            self._speak(now)

    # What both do

    def _speak(self, now: float) -> None:
        if not self._speaking.acquire(blocking=False):
            return
        try:
            if not self._ended and not self._superseded and now >= self._may_speak:
                self._say(now)
        finally:
            self._speaking.release()

    def _say(self, now: float) -> None:
        job, measure = self.job, self.measure()
        drafts = []
        changed = measure != self._said or self._course.stands_still(now)
        if changed:
            self._set(measure, now)
            if job.owner_id is not None and job.parent_id is None:
                channel = user_channel(job.owner_id)
                drafts.append(Draft(channel, "job", job.as_event(), key=job.key))
        lines = self._lines.take()
        drafts += self._line_drafts(lines)
        self._may_speak = now + PUBLISH_SECONDS
        if self._publish(drafts, measure.fraction if changed else None):
            self._said = measure
        else:
            self._lines.put_back(lines)

    def _publish(self, drafts: list[Draft], fraction: float | None = None) -> bool:
        """Send messages, and to the job's group how far it is; return whether that went well."""
        job = self.job
        try:
            if drafts:
                publish_many(drafts)
            if job.parent_id is not None and fraction is not None:
                group_bar.advance(job.parent_id, job.pk, fraction)
        except NotificationsError as error:
            self._retry = min(self._retry * 2 or RETRY_FIRST_SECONDS, RETRY_LAST_SECONDS)
            self._may_speak = monotonic() + self._retry
            logger.warning("Job %s goes on without being watched: %s", job.pk, error)
            return False
        self._retry = 0.0
        return True

    def _line_drafts(self, lines: list[dict[str, Any]]) -> list[Draft]:
        return [Draft(self.job.channel, "job-log", line) for line in lines]

    def measure(self) -> Measure:
        """How far the job is at this moment."""
        return self._course.measure()

    def _set(self, measure: Measure, now: float) -> None:
        job = self.job
        for name, value in measure._asdict().items():
            setattr(job, name, value)
        job.tick += 1
        job.rate, job.eta = self._course.pace(measure, now)

    def _look(self, now: float) -> None:
        """Look whether the job was cancelled; the less often, the longer a look takes."""
        if now < self._next_look or self._cancelled:
            return
        try:
            self._cancelled = cancel_requested(self.job.pk)
        except DatabaseError as error:
            logger.warning("Whether job %s was cancelled is not known: %s", self.job.pk, error)
        if self._cancelled:
            self._next_save = now  # the wish has changed the row
        ended = monotonic()
        self._next_look = ended + CANCEL_SECONDS + LOOK_PAUSES * (ended - now)

    def _save(self) -> None:
        """Save the progress, and take in what others have done to the job meanwhile."""
        # In a transaction of the task's own the row would be locked until its end, and a failure
        # would break it.
        if self._superseded or connection.in_atomic_block:
            return
        job = self.job
        try:
            row = Job.objects.defer(*LARGE).filter(pk=job.pk).first()
            if row is None or (row.attempts, row.state) == (job.attempts, State.LOST):
                return
            if row.attempts != job.attempts or row.state != State.RUNNING:
                self._give_way(row)
                return
            job.version, job.cancel_requested = row.version, row.cancel_requested
            saved = Job.objects.filter(pk=job.pk, version=job.version)
            saved.update(**self.measure()._asdict())
        except DatabaseError as error:
            logger.warning("The progress of job %s was not saved: %s", job.pk, error)
            connection.close_if_unusable_or_obsolete()

    def _give_way(self, row: Job) -> None:
        """Say no more: the same job runs, or has ended, elsewhere, since it was delivered twice."""
        logger.warning("Job %s goes on unseen: it was delivered again, or has ended", row.pk)
        self._superseded = True
        if row.state in FINISHED:
            say(row)  # once more: what was said here since would outlive it


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
