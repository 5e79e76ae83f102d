"""
The multiplexer: one connection to Redis for all that an event loop asks it.

Requests are written as they come and answered in their order. A thousand streams that open at once
wait for one another's bytes, but not for one another's round trips.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from redis.exceptions import NoScriptError

from .conf import conf
from .link import Link
from .scripts import Script, Word, first_error

# Requests on their way at once; others queue. The answer to each may be a page of the log.
REQUESTS_AT_ONCE = 16


class Multiplexer:
    """
    Connects when it is first used, and anew after the connection was lost.

    Its methods raise redis-py's errors, ``OSError``, or ``TimeoutError`` where the answer takes
    longer than ``NOTIFICATIONS_REDIS_TIMEOUT_SECONDS``.
    """

    def __init__(self) -> None:
        self._link: Link | None = None
        self._opening = asyncio.Lock()
        self._slots = asyncio.Semaphore(REQUESTS_AT_ONCE)
        # Of each request: how many replies it waits for, those that came, and who wants them.
        self._waiting: deque[tuple[int, list[Any], asyncio.Future[list[Any]]]] = deque()

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Word]) -> Any:
        """Run a script and return its reply."""
        try:
            return (await self.request([script.call(keys, args)]))[0]
        except NoScriptError:
            return (await self.request([script.whole(keys, args)]))[0]

    async def request(self, commands: Sequence[bytes]) -> list[Any]:
        """Send packed commands and return their replies; raise the first error among them."""
        async with self._slots:
            try:
                async with asyncio.timeout(conf.redis_timeout_seconds):
                    link = self._link or await self._open()
                    answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
                    self._waiting.append((len(commands), [], answered))
                    link.send(commands)
                    replies = await answered
            except TimeoutError:
                self.close()  # what comes after it would wait as long
                raise
        if error := first_error(replies):
            raise error
        return replies

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    async def _open(self) -> Link:
        async with self._opening:
            if self._link is None:
                self._link = await Link(self._receive, self._lose).open()
            return self._link

    def _receive(self, replies: list[Any]) -> None:
        for reply in replies:
            count, received, answered = self._waiting[0]
            received.append(reply)
            if len(received) == count:
                self._waiting.popleft()
                if not answered.done():  # else nobody waits for it any more
                    answered.set_result(received)

    def _lose(self, error: Exception) -> None:
        self._link = None
        waiting, self._waiting = self._waiting, deque()
        for _, _, answered in waiting:
            if not answered.done():
                answered.set_exception(error)


_multiplexers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Multiplexer]] = (
    WeakKeyDictionary()
)


def get_multiplexer() -> Multiplexer:
    """Return the one of the running event loop, for the Redis of the settings."""
    of_loop = _multiplexers.setdefault(asyncio.get_running_loop(), {})
    url = conf.redis_url
    if url not in of_loop:
        of_loop[url] = Multiplexer()
    return of_loop[url]


def close_multiplexers() -> None:
    """Close the connections of the running event loop."""
    for multiplexer in _multiplexers.pop(asyncio.get_running_loop(), {}).values():
        multiplexer.close()
