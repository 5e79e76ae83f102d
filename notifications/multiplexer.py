"""
The multiplexer: one connection to Redis for all that an event loop asks it.

Requests are written as they come and answered in their order. A thousand streams that open at once
wait for one another's bytes, but not for one another's round trips.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from redis.exceptions import NoScriptError

from .conf import conf
from .link import Link
from .scripts import Script, Word, first_error

# Redis may come back from a restart without the newest of what it had, and nobody can tell from
# what it has. The first to connect to a new run of Redis notes the moment; the first of all notes
# none.
RUN: Final = Script("""
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local known = redis.call('HMGET', KEYS[1], 'run', 'since')
if known[1] == run then return known[2] end
local since = '0'
if known[1] then
  local now = redis.call('TIME')
  since = string.format('%.0f', now[1] * 1000000 + now[2])
end
redis.pcall('HSET', KEYS[1], 'run', run, 'since', since)
return since
""")

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
        self._since = 0
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

    async def run_since(
        self, script: Script, keys: Sequence[str], args: Sequence[Word]
    ) -> tuple[int, Any]:
        """
        Run a script whose last argument is the moment since which this Redis has run.

        It is in microseconds since 1970, 0 where Redis has not been restarted since it was first
        used. Returns it with the reply; both are of the same run of Redis.
        """
        since = 0

        def call(pack: Callable[..., bytes]) -> Callable[[], Sequence[bytes]]:
            def commands() -> Sequence[bytes]:
                nonlocal since
                since = self._since
                return [pack(keys, [*args, since])]

            return commands

        try:
            [reply] = await self._request(call(script.call))
        except NoScriptError:
            [reply] = await self._request(call(script.whole))
        return since, reply

    async def request(self, commands: Sequence[bytes]) -> list[Any]:
        """Send packed commands and return their replies; raise the first error among them."""
        if not commands:
            return []  # no reply would come, and it would be waited for
        return await self._request(lambda: commands)

    async def _request(self, make: Callable[[], Sequence[bytes]]) -> list[Any]:
        async with self._slots:
            try:
                async with asyncio.timeout(conf.redis_timeout_seconds):
                    link = self._link or await self._open()
                    replies = await self._exchange(link, make())
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
                link = await Link(self._receive, self._lose).open()
                try:
                    call = RUN.whole([f"{conf.prefix}:run"], [])
                    [since] = await self._exchange(link, [call])
                    if error := first_error([since]):
                        raise error
                    self._since = int(since)
                except BaseException:
                    link.close()
                    raise
                self._link = link
            return self._link

    def _exchange(self, link: Link, commands: Sequence[bytes]) -> "asyncio.Future[list[Any]]":
        answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((len(commands), [], answered))
        link.send(commands)
        return answered

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
