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
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.db import DatabaseError, connection

from ..channels import user_channel
from ..exceptions import NotificationsError
from ..messages import Draft
from ..publishing import publish_many
from . import groups
from .exceptions import JobCancelled
from .logs import Lines
from .models import MESSAGE_MAX_LENGTH, UNIT_MAX_LENGTH, Job
from .phases import DONE, Item, Scope, Step, as_data
from .rate import Rate
from .running import running
from .signs import cancel_requested
from .storable import clean
from .ticker import ticker

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

# A time left means something once a job got so far, or has run for so long.
LEFT_FIRST_FRACTION: Final = 0.01
LEFT_FIRST_SECONDS: Final = 10.0


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


class Measure(NamedTuple):
    """What is said of a job's progress, by the names of its fields."""

    fraction: float | None
    steps: list[dict[str, Any]]
    message: str
    unit: str = ""
    current: int = 0
    total: int | None = None


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

        self._root = Scope()
        self._scopes: list[Scope] = [self._root]
        self._shown: Progress | None = None
        self._followed: list[Progress] = []
        self._fraction = 0.0  # the largest so far
        self._began = now
        self._count_rate = Rate()
        self._fraction_rate = Rate()
        self._lines = Lines(job.log_lines, job.log_tail if job.log_lines else ())

        self._speaking = Lock()
        self._said: Measure | None = None
        self._may_speak = 0.0
        self._retry = 0.0
        self._next_save = now + SAVE_SECONDS
        self._watched = self._ended = self._in_loop = False

        self._next_look = now + CANCEL_SECONDS
        self._cancelled = self._stopped = False

    # What the task does

    def open(self, count: "Progress") -> Scope:
        """Follow a new count; return the scope that it counts in."""
        scope = self._scope()
        scope.open_count(count)
        if not any(isinstance(scope, Item) for scope in self._scopes):
            self._show(count)
        self.point()
        return scope

    def enter(self, count: "Progress") -> Item:
        """Take what happens from now on as the handling of one of the things counted."""
        item = Item(count)
        self._scopes.append(item)
        self._followed.append(count)
        return item

    def leave(self, count: "Progress", scope: Scope, item: Item, *, complete: bool) -> None:
        """End what ``enter`` began; where that did not come to its end, nothing is raised."""
        _remove(self._scopes, item)
        _remove(self._followed, count)
        scope.close(count, complete=complete)
        if complete:
            self.point()

    def announce(self, steps: list[Step]) -> None:
        self._scope().announce(steps)
        self.point()

    def enter_step(self, title: str, weight: float) -> tuple[Scope, Step]:
        scope = self._scope()
        step = scope.open_step(Step(title, weight))
        if not any(isinstance(scope, Item) for scope in self._scopes):
            self._show(None)
        self._scopes.append(step)
        try:
            self.point()
        except BaseException:
            self.leave_step((scope, step), complete=False)
            raise
        return scope, step

    def leave_step(self, entered: tuple[Scope, Step], *, complete: bool) -> None:
        scope, step = entered
        _remove(self._scopes, step)
        scope.close(step, complete=complete)
        if complete:
            step.state = DONE
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
        if self._lines.waiting and not self._retry:
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
        for count in tuple(self._followed):
            count.kick()
        if self._in_loop or self._retry:
            self._look(now)
        # The task goes first.
        if now < self._may_speak + PUBLISH_SECONDS:
            return
        if self._lines.waiting or self.measure() != self._said or self._stands_still(now):
            self._speak(now)

    # What both do

    def _speak(self, now: float) -> None:
        if not self._speaking.acquire(blocking=False):
            return
        try:
            if not self._ended and now >= self._may_speak:
                self._say(now)
        finally:
            self._speaking.release()

    def _say(self, now: float) -> None:
        job, measure = self.job, self.measure()
        drafts = []
        changed = measure != self._said or self._stands_still(now)
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
                groups.advance(job.parent_id, job.pk, fraction)
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
        shown = self._shown
        fraction = None
        if self._root.known:
            self._fraction = max(self._fraction, self._root.reached())
            fraction = round(self._fraction, 4)
        steps = as_data(self._root.steps)
        if shown is None:
            return Measure(fraction, steps, self._title())
        message = _text(shown.message, MESSAGE_MAX_LENGTH) or self._title()
        unit = _text(shown.unit, UNIT_MAX_LENGTH)
        return Measure(fraction, steps, message, unit, *shown.shown())

    def _set(self, measure: Measure, now: float) -> None:
        job = self.job
        for name, value in measure._asdict().items():
            setattr(job, name, value)
        job.tick += 1
        self._count_rate.update(measure.current, now)
        job.rate = self._count_rate.value(now)
        job.eta = None
        if measure.fraction is None:
            return
        self._fraction_rate.update(self._fraction, now)
        rate = self._fraction_rate.value(now)
        tells = self._fraction >= LEFT_FIRST_FRACTION or now - self._began >= LEFT_FIRST_SECONDS
        if rate and tells and self._root.foreseen:
            job.eta = (1 - self._fraction) / rate

    def _stands_still(self, now: float) -> bool:
        """Whether a rate or a time left was said that has stopped being true."""
        job = self.job
        return bool(
            (job.rate is not None and self._count_rate.value(now) is None)
            or (job.eta is not None and self._fraction_rate.value(now) is None)
        )

    def _show(self, count: "Progress | None") -> None:
        self._shown = count
        self._count_rate = Rate()

    def _scope(self) -> Scope:
        scope = self._scopes[-1]
        if isinstance(scope, Item):
            scope.begin()
        return scope

    def _title(self) -> str:
        """The innermost open step's."""
        for scope in reversed(self._scopes):
            if isinstance(scope, Step):
                return scope.title
        return ""

    def _look(self, now: float) -> None:
        """Look whether the job was cancelled; the less often, the longer a look takes."""
        if now < self._next_look or self._cancelled:
            return
        try:
            self._cancelled = cancel_requested(self.job.pk)
        except DatabaseError as error:
            logger.warning("Whether job %s was cancelled is not known: %s", self.job.pk, error)
        ended = monotonic()
        self._next_look = ended + CANCEL_SECONDS + LOOK_PAUSES * (ended - now)

    def _save(self) -> None:
        # In a transaction of the task's own the row would be locked until its end, and a failure
        # would break it.
        if connection.in_atomic_block:
            return
        job = self.job
        try:
            Job.objects.filter(pk=job.pk, version=job.version).update(**self.measure()._asdict())
        except DatabaseError as error:
            logger.warning("The progress of job %s was not saved: %s", job.pk, error)


def _text(text: object, length: int) -> str:
    return str(clean(str(text)[:length]))


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _remove(things: list[Any], thing: object) -> None:
    """Remove by identity what may be gone already."""
    for place, other in enumerate(things):
        if other is thing:
            del things[place]
            return
