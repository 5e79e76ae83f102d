"""
Phases: the steps of a job, and how they and the counts within them make one honest bar.

A *scope* is where things happen one after the other: a job, a step, the handling of one item. It
knows the share that is behind it and the share of what is open in it. Whatever opens gets its
share from what is left, so that the sum only rises.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from .models import STEPS_MAX
from .running import current_reporter
from .storable import clean

TITLE_MAX_LENGTH: Final = 100
STEPS_KEPT: Final = 200  # of those that have been; a loop may open any number

# What is taken to follow a step when nothing was announced: another one of the usual weight.
UNKNOWN_REST: Final = 1.0

# A count that opens after another has filled the bar up to here has no room left to be seen in it.
FULL: Final = 0.9

WAITING, RUNNING, DONE = "waiting", "running", "done"


@contextmanager
def step(title: str, weight: float = 1) -> Iterator[None]:
    """
    Name what the job does within; its share of the bar is its weight beside that of other steps.

    Steps may be nested, and then share what the outer one has. Where all are announced first, with
    ``steps``, the bar is true from the beginning; otherwise each gets ``weight`` parts of what is
    left and leaves one part to what may follow. Outside a job it does nothing.
    """
    reporter = current_reporter()
    if reporter is None:
        yield
        return
    scope, entered = reporter.enter_step(Step(title, weight))
    complete = False
    try:
        yield
        complete = True
    finally:
        reporter.leave_step(scope, entered, complete=complete)


def steps(*titles: "str | tuple[str, float]") -> None:
    """
    Announce the steps to come, here or within the open step: ``steps("Read", ("Parse", 2))``.

    A title alone has the weight 1. A step that is passed over counts as done when a later one
    begins; one that wasn't announced shares what is left. Outside a job it does nothing.
    """
    reporter = current_reporter()
    if reporter is not None:
        pairs = [(title, 1.0) if isinstance(title, str) else title for title in titles]
        reporter.announce([Step(title, weight) for title, weight in pairs])


class Part(Protocol):
    """What can be open in a scope: a step or a count."""

    @property
    def known(self) -> bool:
        """Whether it can be told how far it is."""

    def reached(self) -> float:
        """How far it is for certain, from 0 to 1."""


class Scope:
    """Things that happen one after the other, and how far they are."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.planned = False
        self._behind = 0.0
        self._share = 0.0
        self._open: Part | None = None

    @property
    def known(self) -> bool:
        if self.steps:
            return True
        if self._open is None:
            return self._behind > 0
        return self._share > 0 and self._open.known

    @property
    def foreseen(self) -> bool:
        """Whether the bar is to scale, so that a time left can be told from it."""
        return self.planned or not self.steps

    def reached(self) -> float:
        inner = self._open.reached() if self._open is not None else 0.0
        return min(self._behind + self._share * inner, 1.0)

    def announce(self, steps: "list[Step]") -> None:
        self.planned = True
        self.steps += steps

    def open_step(self, step: "Step") -> "Step":
        """Begin a step, or the announced one of its title, and return it."""
        self._settle()
        waiting = [other for other in self.steps if other.state == WAITING]
        titles = [other.title for other in waiting]
        if step.title in titles:
            place = titles.index(step.title)
            step, passed, waiting = waiting[place], waiting[:place], waiting[place + 1 :]
            for other in passed:
                other.state = DONE
        else:
            first = next((n for n, s in enumerate(self.steps) if s.state == WAITING), None)
            self.steps.insert(len(self.steps) if first is None else first, step)
            del self.steps[: max(0, len(self.steps) - len(waiting) - STEPS_KEPT)]
        step.state = RUNNING
        rest = sum(other.weight for other in waiting) if self.planned else UNKNOWN_REST
        whole = step.weight + rest
        self._share = (1 - self._behind) * (step.weight / whole if whole else 1.0)
        self._open = step
        return step

    def open_count(self, count: Part) -> None:
        """Begin to count: over all that is left, unless steps are to follow."""
        self._settle()
        waiting = any(step.state == WAITING for step in self.steps)
        full = self._behind > FULL and not self.steps
        self._share = 0.0 if waiting or full else 1 - self._behind
        self._open = count

    def close(self, part: Part, *, complete: bool) -> None:
        """End what is open; ``complete``: it came to its end, and didn't stop on its way."""
        if self._open is not part or not complete:
            return  # what stopped keeps what it reached, until something else opens
        if part.known or isinstance(part, Step):
            self._behind = min(self._behind + self._share, 1.0)
            self._open, self._share = None, 0.0
        else:
            self._settle()

    def _settle(self) -> None:
        """Take what is open as having come as far as it will."""
        self._behind = self.reached()
        self._share = 0.0
        if isinstance(self._open, Step):
            self._open.state = DONE
        self._open = None


class Step(Scope):
    """A named part of a scope, and a scope itself."""

    def __init__(self, title: str, weight: float = 1) -> None:
        super().__init__()
        self.title = str(clean(str(title)[:TITLE_MAX_LENGTH]))
        self.weight = _finite(weight)
        self.state = WAITING

    def as_data(self) -> dict[str, Any]:
        fraction = 1.0 if self.state == DONE else None
        if self.state == RUNNING and self.known:
            fraction = round(self.reached(), 4)
        return {"title": self.title, "state": self.state, "fraction": fraction}


class Item(Scope):
    """What happens while a count handles one thing; forgotten when it comes to the next."""

    def __init__(self, count: "Counting") -> None:
        super().__init__()
        self._count = count
        self._at: float | None = None

    def begin(self) -> None:
        """Start anew if the count has moved on."""
        if self._at != self._count.current:
            super().__init__()
            self._at = self._count.current

    def reached(self) -> float:
        return super().reached() if self._at == self._count.current else 0.0


class Counting(Protocol):
    @property
    def current(self) -> float: ...


def as_data(steps: list[Step]) -> list[dict[str, Any]]:
    """Return the steps that are shown: of very many, those around the one that runs."""
    shown = steps
    if len(steps) > STEPS_MAX:
        begun = sum(1 for step in steps if step.state != WAITING)
        first = max(0, min(begun - STEPS_MAX // 2, len(steps) - STEPS_MAX))
        shown = steps[first : first + STEPS_MAX]
    return [step.as_data() for step in shown]


def _finite(weight: float) -> float:
    return float(weight) if weight >= 0 and math.isfinite(weight) else 1.0
