"""A reader of one subscription within this process, with a real hub and without HTTP."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from notifications import storage, subscription
from notifications.hub import Hub
from notifications.subscription import Subscription
from tests.support.streams import DEADLINE_SECONDS, Event, EventParser

CHANNEL = "user-1"


def append(type: str = "note", text: str = "{}", channel: str = CHANNEL, **kwargs: Any) -> int:
    return storage.append(channel, type, text, **kwargs)


def cursor_of(id: int) -> dict[str, int]:
    return {CHANNEL: id}


class Reader:
    """Reads a subscription as a socket would, until it is told to stop."""

    def __init__(
        self,
        hub: Hub,
        cursor: Mapping[str, int] | None = None,
        channels: Iterable[str] = (CHANNEL,),
        holder: Any = subscription.VISITOR,
        refused: Iterable[str] = (),
    ) -> None:
        self.hub = hub
        self.subscription = Subscription(channels, cursor, holder, tuple(refused))
        self.events: list[Event] = []
        self.parser = EventParser()
        self.reading = asyncio.Event()
        self.reading.set()
        self._task = asyncio.create_task(self._read())

    async def until(
        self, condition: Callable[[list[Event]], Any], seconds: float = DEADLINE_SECONDS
    ) -> Any:
        """Wait until `condition(events)` is true and return its value."""
        try:
            async with asyncio.timeout(seconds):
                while not (value := condition(self.events)):
                    assert not self._task.done() or self._task.result() is None
                    await asyncio.sleep(0.005)
                return value
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s: {self.events[-20:]}") from None

    async def until_type(
        self, type: str, count: int = 1, seconds: float = DEADLINE_SECONDS
    ) -> Event:
        """Wait for the `count`-th event of a type and return it."""
        found: list[Event] = await self.until(
            lambda events: [e for e in events if e.type == type][count - 1 : count], seconds
        )
        return found[0]

    def types(self) -> list[str]:
        return [event.type for event in self.events]

    def data(self, type: str = "note") -> list[str]:
        return [event.data for event in self.events if event.type == type]

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        self.hub.join(self.subscription)
        try:
            async with contextlib.aclosing(self.subscription.stream()) as stream:
                async for chunk in stream:
                    self.events += self.parser.feed(chunk)
                    await self.reading.wait()
        finally:
            self.hub.leave(self.subscription)
