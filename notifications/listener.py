"""
A listener: the connection to Redis that hears Pub/Sub, for all the streams of a process.
"""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NoReturn, Self

from redis.exceptions import ConnectionError

from .link import Link
from .scripts import command, first_error

# Names in one SUBSCRIBE command.
SUBSCRIBE_LENGTH = 1000


class Listener:
    """
    An async context manager; it is used up when the connection is lost.

    ``hear`` is called with all that has come at once, in the order in which it came: lists of
    b"message", name and payload, or of b"subscribe" and name where the subscription now stands.
    ``subscribe``, ``unsubscribe`` and ``ping`` don't wait, and do nothing on a lost connection.
    """

    def __init__(self, hear: Callable[[Sequence[list[Any]]], None]) -> None:
        self._hear = hear
        self._link = Link(self._receive, self._lose)
        self._quiet = False
        self._lost = asyncio.Event()
        self._error: Exception = ConnectionError()

    async def __aenter__(self) -> Self:
        await self._link.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._link.close()

    async def lost(self) -> NoReturn:
        """Wait until the connection is lost, and raise why."""
        await self._lost.wait()
        raise self._error

    def subscribe(self, names: Sequence[str]) -> None:
        """Ask for these Pub/Sub channels; each is confirmed by b"subscribe"."""
        self._send("SUBSCRIBE", names)

    def unsubscribe(self, names: Sequence[str]) -> None:
        """Stop hearing these Pub/Sub channels."""
        self._send("UNSUBSCRIBE", names)

    def ping(self) -> bool:
        """
        Ask for a sign of life; False when nothing has come since the last time it was asked for.

        A host that vanished, or a server that was stopped, closes no connection.
        """
        if self._quiet:
            return False
        self._quiet = True
        self._link.send([command("PING")])
        return True

    def _send(self, verb: str, names: Sequence[str]) -> None:
        parts = range(0, len(names), SUBSCRIBE_LENGTH)
        self._link.send(command(verb, *names[start : start + SUBSCRIBE_LENGTH]) for start in parts)

    def _receive(self, replies: list[Any]) -> None:
        self._quiet = False
        if error := first_error(replies):
            raise error
        self._hear(replies)

    def _lose(self, error: Exception) -> None:
        self._error = error
        self._lost.set()
