"""
The course of a run: where it stands among its steps and counts, how fast it goes, what is left.
"""

from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .models import MESSAGE_MAX_LENGTH, UNIT_MAX_LENGTH
from .phases import DONE, Item, Scope, Step, as_data
from .rate import Rate
from .storable import clean

if TYPE_CHECKING:
    from .progress import Progress

# A time left means something once a job got so far, or has run for so long.
LEFT_FIRST_FRACTION: Final = 0.01
LEFT_FIRST_SECONDS: Final = 10.0


class Measure(NamedTuple):
    """What is said of a job's progress, by the names of its fields."""

    fraction: float | None
    steps: list[dict[str, Any]]
    message: str
    unit: str = ""
    current: int = 0
    total: int | None = None


class Course:
    """
    The open steps and counts of one run, the innermost last.

    The count that is shown is the last one that opened in no other. Its task changes it; the
    ticker's thread may measure it meanwhile.
    """

    def __init__(self) -> None:
        self.followed: list[Progress] = []  # those that `track` counts
        self._root = Scope()
        self._scopes: list[Scope] = [self._root]
        self._shown: Progress | None = None
        self._fraction = 0.0  # the largest so far
        self._began = monotonic()
        self._count_rate = Rate()
        self._fraction_rate = Rate()
        self._told: tuple[float | None, float | None] = (None, None)

    def open(self, count: "Progress") -> Scope:
        """Follow a new count; return the scope that it counts in."""
        scope = self._scope()
        scope.open_count(count)
        self._show(count)
        return scope

    def enter(self, count: "Progress") -> Item:
        """Take what opens from now on as the handling of one of the things counted."""
        item = Item(count)
        self._scopes.append(item)
        self.followed.append(count)
        return item

    def leave(self, count: "Progress", scope: Scope, item: Item, *, complete: bool) -> None:
        """End what ``enter`` began."""
        _remove(self._scopes, item)
        _remove(self.followed, count)
        scope.close(count, complete=complete)

    def announce(self, steps: list[Step]) -> None:
        self._scope().announce(steps)

    def enter_step(self, step: Step) -> tuple[Scope, Step]:
        """Begin a step, or the announced one of its title; return its scope and it."""
        scope = self._scope()
        step = scope.open_step(step)
        self._show(None)
        self._scopes.append(step)
        return scope, step

    def leave_step(self, scope: Scope, step: Step, *, complete: bool) -> None:
        _remove(self._scopes, step)
        scope.close(step, complete=complete)
        if complete:
            step.state = DONE

    def measure(self) -> Measure:
        """Return where the run stands at this moment."""
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

    def pace(self, measure: Measure, now: float) -> tuple[float | None, float | None]:
        """Take a measure in; return units a second and seconds left, each None if unknown."""
        self._count_rate.update(measure.current, now)
        left = None
        if measure.fraction is not None:
            self._fraction_rate.update(self._fraction, now)
            rate = self._fraction_rate.value(now)
            soon = self._fraction < LEFT_FIRST_FRACTION and now - self._began < LEFT_FIRST_SECONDS
            if rate and not soon and self._root.foreseen:
                left = (1 - self._fraction) / rate
        self._told = self._count_rate.value(now), left
        return self._told

    def stands_still(self, now: float) -> bool:
        """Whether the last pace has stopped being true since."""
        rate, left = self._told
        return (rate is not None and self._count_rate.value(now) is None) or (
            left is not None and self._fraction_rate.value(now) is None
        )

    def _show(self, count: "Progress | None") -> None:
        """Show a new count, or none in a new step; not within the handling of an item."""
        if not any(isinstance(scope, Item) for scope in self._scopes):
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


def _text(text: object, length: int) -> str:
    return str(clean(str(text)[:length]))


def _remove(things: list[Any], thing: object) -> None:
    """Remove by identity what may be gone already."""
    for place, other in enumerate(things):
        if other is thing:
            del things[place]
            return
