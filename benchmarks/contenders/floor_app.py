"""
The floor's application: raw ASGI, one subscriber, a queue per stream, joined writes.

Everybody may read everything, nothing is kept, and what Redis loses is lost. It reads Redis with
hiredis straight from the transport, encodes each message once, and gives each stream in one write
what has come for it since its last. Whatever a site adds can only be slower.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, cast

import hiredis

HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
OPEN = b"event: stream-open\ndata: \n\n"

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Stream:
    """One open response: what waits to be written, and somebody to wake."""

    __slots__ = ("ended", "frames", "waiter")

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.waiter: asyncio.Future[None] | None = None
        self.ended = False

    def push(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.wake()

    def wake(self) -> None:
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Subscriber(asyncio.Protocol):
    """The one connection to Redis."""

    def __init__(self) -> None:
        self.reader = hiredis.Reader()
        self.streams: dict[bytes, set[Stream]] = {}
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self.reader.feed(data)
        while (reply := self.reader.gets()) is not False:
            if reply[0] == b"message":
                frame = b"event: bench\ndata: %b\n\n" % reply[2]
                for stream in self.streams.get(reply[1], ()):
                    stream.push(frame)

    def join(self, channel: bytes, stream: Stream) -> None:
        if channel in self.streams:
            self.streams[channel].add(stream)
        else:
            self.streams[channel] = {stream}
            self._say(b"SUBSCRIBE", channel)

    def leave(self, channel: bytes, stream: Stream) -> None:
        streams = self.streams[channel]
        streams.discard(stream)
        if not streams:
            del self.streams[channel]
            self._say(b"UNSUBSCRIBE", channel)

    def _say(self, command: bytes, channel: bytes) -> None:
        assert self.transport is not None
        packed = hiredis.pack_command((command, channel))  # type: ignore[arg-type]
        self.transport.write(packed)


_subscriber: asyncio.Task[Subscriber] | None = None


async def _connect() -> Subscriber:
    path = os.environ["REDIS_URL"].removeprefix("unix://")
    _, protocol = await asyncio.get_running_loop().create_unix_connection(Subscriber, path)
    return protocol


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Stream the channel that the query names."""
    global _subscriber
    if _subscriber is None:
        _subscriber = asyncio.create_task(_connect())
    subscriber = await _subscriber
    stream, channel = Stream(), scope["query_string"]
    subscriber.join(channel, stream)
    watching = asyncio.create_task(_end_on_disconnect(receive, stream))
    loop = asyncio.get_running_loop()
    try:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": OPEN, "more_body": True})
        while not stream.ended:
            if stream.frames:
                body = b"".join(stream.frames)
                stream.frames.clear()
                await send({"type": "http.response.body", "body": body, "more_body": True})
            else:
                stream.waiter = loop.create_future()
                await stream.waiter
    finally:
        watching.cancel()
        subscriber.leave(channel, stream)


async def _end_on_disconnect(receive: Receive, stream: Stream) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.ended = True
    stream.wake()
