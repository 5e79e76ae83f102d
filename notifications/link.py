"""
A link: one asynchronous connection to Redis, read straight from its transport.

redis-py opens it, as the URL says (socket, TLS, password). From then on whatever has arrived is
parsed at once and handed on in one call: a burst costs one pass through the event loop, where a
read for each reply would cost as many as there are messages.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Self

import hiredis
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    NoScriptError,
    RedisError,
    ResponseError,
)

from .conf import conf
from .connections import async_connection

ERRORS: dict[str, type[RedisError]] = {"NOSCRIPT": NoScriptError, "LOADING": BusyLoadingError}


class Link(asyncio.Protocol):
    """
    One connection, opened once; it is used up when it was closed or lost.

    ``receive`` is called with replies, in the order in which they came; errors that Redis answered
    are among them, as exceptions. What it raises ends the link. ``on_lost`` is called once.
    """

    def __init__(
        self,
        receive: Callable[[list[Any]], None],
        on_lost: Callable[[Exception], None],
    ) -> None:
        self._receive = receive
        self._on_lost: Callable[[Exception], None] | None = on_lost
        self._connection: Any = async_connection()
        self._parser = hiredis.Reader(replyError=_error)
        self._outgoing: list[bytes] = []

    async def open(self) -> Self:
        """Connect, or raise redis-py's errors, ``OSError`` or ``TimeoutError`` in bounded time."""
        async with asyncio.timeout(conf.redis_timeout_seconds):
            await self._connection.connect()
        # Nothing has come yet beyond the answers to redis-py's own greeting.
        self._transport: asyncio.Transport = self._connection._writer.transport
        self._transport.set_protocol(self)
        return self

    def close(self) -> None:
        self._lose(ConnectionError("The connection was closed"))

    def send(self, commands: Iterable[bytes]) -> None:
        """Write packed commands, with all others of this moment; none on a lost connection."""
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing += commands

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if self._on_lost is not None:
            self._transport.write(b"".join(outgoing))

    # Called by the event loop

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed(data)
            replies = []
            while (reply := self._parser.gets()) is not False:
                replies.append(reply)
            if replies:
                self._receive(replies)
        except Exception as error:  # the loop would only log it, and go on
            self._lose(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(exc or ConnectionError("Redis has closed the connection"))

    def _lose(self, error: Exception) -> None:
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is None:
            return
        self._transport.abort()
        # redis-py would complain that it never closed what it opened.
        self._connection._reader = self._connection._writer = None
        on_lost(error)


def _error(text: str) -> RedisError:
    code, _, _ = text.partition(" ")
    return ERRORS.get(code, ResponseError)(text)
