"""
Tracking: one word around what a task loops over.
"""

import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from operator import length_hint
from typing import Any, Generic, TypeVar, overload

from .progress import Progress, known_total
from .running import current_reporter

T = TypeVar("T")


@overload
def track(
    iterable: Iterable[T],
    message: str = "",
    total: float | None = None,
    unit: str = "",
    *,
    desc: str | None = None,
) -> "Track[T]": ...
@overload
def track(
    iterable: AsyncIterable[T],
    message: str = "",
    total: float | None = None,
    unit: str = "",
    *,
    desc: str | None = None,
) -> "AsyncTrack[T]": ...


def track(
    iterable: Any,
    message: str = "",
    total: float | None = None,
    unit: str = "",
    *,
    desc: str | None = None,
) -> Any:
    """
    Return ``iterable``, or an async one, so that a loop over it moves the running job's bar.

    An item counts when the loop asks for the next one. ``total`` is asked of the iterable where it
    isn't given; ``unit`` "B" is shown as bytes; ``desc`` is tqdm's word for ``message``. A
    ``track`` within the loop refines the bar, one after it begins a new phase. Outside a job it
    draws tqdm's bar on a terminal, where tqdm is installed, and nothing elsewhere.

    The loop raises ``JobCancelled`` once the job's cancellation was asked for, and otherwise what
    the iterable raises.
    """
    if desc is not None and not message:
        message = desc
    is_async = hasattr(iterable, "__aiter__") and not hasattr(iterable, "__iter__")
    return (AsyncTrack if is_async else Track)(iterable, message, total, unit)


class _Tracked(Generic[T]):
    __slots__ = ("_iterable", "_message", "_total", "_unit")

    def __init__(self, iterable: Any, message: str, total: float | None, unit: str) -> None:
        self._iterable = iterable
        self._message = message
        self._total = total
        self._unit = unit

    def _progress(self) -> Progress:
        total = self._total if self._total is not None else _length(self._iterable)
        progress = Progress(total, unit=self._unit, message=self._message)
        return progress.__enter__()

    def _seen(self) -> Any:
        """The iterable, with tqdm's bar where somebody would see it."""
        if sys.stderr is None or not sys.stderr.isatty():
            return self._iterable
        try:
            from tqdm import asyncio, std
        except ImportError:
            return self._iterable
        options: dict[str, Any] = {"desc": self._message or None, "total": known_total(self._total)}
        if self._unit == "B":
            options.update(unit="B", unit_scale=True, unit_divisor=1024)
        elif self._unit:
            options.update(unit=f" {self._unit}")
        if isinstance(self, AsyncTrack):
            return asyncio.tqdm(aiter(self._iterable), **options)
        return std.tqdm(self._iterable, **options)


class Track(_Tracked[T]):
    __slots__ = ()

    def __iter__(self) -> Iterator[T]:
        if current_reporter() is None:
            return iter(self._seen())
        return self._followed()

    def _followed(self) -> Iterator[T]:
        progress = self._progress()
        complete, n = False, 0
        try:
            for item in self._iterable:
                yield item
                n += 1
                progress._current = n
                if n >= progress.check:
                    progress.look(n)
            complete = True
        finally:
            progress.leave(complete=complete)


class AsyncTrack(_Tracked[T]):
    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[T]:
        if current_reporter() is None:
            return aiter(self._seen())
        return self._followed()

    async def _followed(self) -> AsyncIterator[T]:
        progress = self._progress()
        complete, n = False, 0
        try:
            async for item in self._iterable:
                yield item
                n += 1
                progress._current = n
                if n >= progress.check:
                    progress.look(n)
            complete = True
        finally:
            progress.leave(complete=complete)


def _length(iterable: object) -> int | None:
    """How many items there are, if that can be had without a surprise."""
    try:
        length = length_hint(iterable, -1)
    except Exception:  # whatever it is, the loop is the place to hear of it
        return None
    return length if length >= 0 else None
