"""
A listener: one connection to Redis that hears Pub/Sub, for all the streams of a process.
"""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple, Self

from .conf import conf
from .connections import async_connection

# Names in one SUBSCRIBE command.
SUBSCRIBE_LENGTH = 1000


class Heard(NamedTuple):
    """``payload`` is None where Redis confirms that the subscription to ``name`` stands."""

    name: str
    payload: bytes | None


class Listener:
    """
    An async context manager around one connection; ``hear()`` waits for what comes next.

    ``hear``, ``subscribe`` and ``unsubscribe`` raise redis-py's errors or ``OSError`` when the
    connection is lost; the listener is used up then.
    """

    def __init__(self) -> None:
        self._connection = async_connection()
        self._sending = asyncio.Lock()
        self._quiet = False

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(conf.redis_timeout_seconds):
            await self._connection.connect()  # type: ignore[no-untyped-call]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._connection.disconnect(nowait=True)

    async def subscribe(self, names: Iterable[str]) -> None:
        """Ask for these Pub/Sub channels; each is confirmed by a ``Heard`` without payload."""
        await self._send("SUBSCRIBE", list(names))

    async def unsubscribe(self, names: Iterable[str]) -> None:
        """Stop hearing these Pub/Sub channels."""
        await self._send("UNSUBSCRIBE", list(names))

    async def hear(self) -> Heard:
        """Return the next message or confirmation; messages of a channel come in order."""
        while True:
            reply = await self._connection.read_response(disable_decoding=True)
            self._quiet = False
            if reply[0] == b"message":
                return Heard(reply[1].decode(), reply[2])
            if reply[0] == b"subscribe":
                return Heard(reply[1].decode(), None)

    async def check(self) -> bool:
        """
        Ask for a sign of life; False when nothing has come since the last time it was asked for.

        A host that vanished, or a server that was stopped, closes no connection.
        """
        if self._quiet:
            return False
        self._quiet = True
        await self._send("PING", [])
        return True

    async def _send(self, command: str, names: list[str]) -> None:
        async with self._sending:
            for start in range(0, max(len(names), 1), SUBSCRIBE_LENGTH):
                await self._connection.send_command(
                    command, *names[start : start + SUBSCRIBE_LENGTH], check_health=False
                )
