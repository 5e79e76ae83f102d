"""
Progress: a count that a running task's owner sees move, for work that is no loop.

It works in any function that the task calls: the job is found by itself. Outside a job it counts,
and says nothing.
"""

import math
from time import monotonic
from types import TracebackType
from typing import Final, Self

from .phases import Item, Scope
from .running import current_reporter

LIMIT: Final = 2**63  # what a count stays below, as the database's integers do

# What `float` raises: a count is no reason for a task to fail.
NO_NUMBER: Final = (TypeError, ValueError, OverflowError)

# `track` looks at the clock about this often, however fast its items come.
LOOK_SECONDS: Final = 0.01
STRIDE_MAX: Final = 1 << 16  # items between two looks


class Progress:
    """
    A count towards a total, in a unit (``"B"`` is shown as bytes).

    The count never goes back. A total of None, and whatever is no number above zero, is unknown;
    one that the count has passed follows the count. As a context manager it counts what happens
    within: another count or a step there is a part of the present item. Between two messages a
    call costs less than a microsecond.

    ``update`` and ``set`` raise ``JobCancelled`` once the job's cancellation was asked for.
    """

    __slots__ = (
        "_current", "_item", "_looked", "_message", "_reporter", "_scope", "_stride", "_total",
        "check", "unit",
    )  # fmt: skip

    def __init__(self, total: float | None = None, *, unit: str = "", message: str = "") -> None:
        self.unit = unit
        self._message = message
        self._total = known_total(total)
        self._current: float = 0
        self._item: Item | None = None
        self._scope: Scope | None = None
        self._looked = 0.0
        self._stride = 1
        self.check: float = 0  # the count at which `track` looks at the clock
        self._reporter = current_reporter()
        if self._reporter is not None:
            self._scope = self._reporter.open(self)

    def __enter__(self) -> Self:
        if self._reporter is not None:
            self._item = self._reporter.enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave(complete=kind is None)

    @property
    def current(self) -> float:
        return self._current

    @property
    def total(self) -> float | None:
        return self._total

    @total.setter
    def total(self, total: float | None) -> None:
        self._total = known_total(total)
        self._point()

    @property
    def message(self) -> str:
        return self._message

    @message.setter
    def message(self, message: str) -> None:
        self._message = message
        self._point()

    def update(self, n: float = 1) -> None:
        """Count ``n`` more; nothing that is not above zero."""
        try:
            more = n if type(n) is int else float(n)
        except NO_NUMBER:
            return
        self.set(self._current + more)

    def set(self, current: float) -> None:
        """Set the count; what is smaller than before, or no finite number, is ignored."""
        if type(current) is not int:
            try:
                current = float(current)
            except NO_NUMBER:
                return
        if self._current < current < LIMIT:
            self._current = current
            reporter = self._reporter
            if reporter is not None and monotonic() >= reporter.due:
                reporter.point()

    def _point(self) -> None:
        if self._reporter is not None:
            self._reporter.point()

    # For `track`, the reporter and the phases

    def look(self, current: int) -> None:
        """Set the count, look at the clock, and decide when to look again."""
        self._current = current
        reporter = self._reporter
        if reporter is None:
            return
        now = monotonic()
        since = now - self._looked
        if since < LOOK_SECONDS / 2:
            self._stride = min(self._stride * 2, STRIDE_MAX)
        elif since > LOOK_SECONDS * 2:
            self._stride = max(int(self._stride * LOOK_SECONDS / since), 1)
        self._looked = now
        self.check = current + self._stride
        if now >= reporter.due:
            reporter.point()

    def kick(self) -> None:
        """Let the next item look at the clock: it may have been long in coming."""
        self.check = 0

    def leave(self, *, complete: bool) -> None:
        if self._reporter is not None and self._item is not None and self._scope is not None:
            item, self._item = self._item, None
            self._reporter.leave(self, self._scope, item, complete=complete)

    @property
    def known(self) -> bool:
        return self._total is not None

    def reached(self) -> float:
        if self._total is None:
            return 0.0
        inner = self._item.reached() if self._item is not None else 0.0
        return float(min((self._current + inner) / self._total, 1.0))

    def shown(self) -> tuple[int, int | None]:
        """Return count and total as whole numbers."""
        current = int(self._current)
        if self._total is None:
            return current, None
        return current, max(math.ceil(self._total), current)


def known_total(total: float | None) -> float | None:
    """Return ``total`` if something can be counted towards it, else None."""
    if total is None:
        return None
    try:
        number = total if type(total) is int else float(total)
    except NO_NUMBER:
        return None
    return number if 0 < number < LIMIT else None
