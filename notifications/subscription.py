"""
A subscription: one stream's place in the hub, from its cursor through the log to live messages.
"""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from time import monotonic
from typing import Final

from . import sse, storage
from .conf import conf
from .exceptions import RedisUnavailable
from .outlet import Outlet
from .permissions import Holder
from .sse import Batch, Frame, Reset

KEEP_ALIVE: Final = sse.event("keep-alive")
LIVE: Final = sse.event("stream-live", "{}")
PAUSED: Final = sse.event("stream-paused", '{"reason":"redis"}')

# A stream that opens while Redis is away says so after this long, and one that could not read the
# log tries again.
PATIENCE_SECONDS: Final = 1.0

VISITOR: Final = Holder()

# Clients of a stream that was drained come back spread over this time, so that a deploy brings no
# storm.
RETRY_FIRST_MS: Final = 100
RETRY_LAST_MS: Final = 3000


class Place:
    """Where a stream stands in one channel."""

    __slots__ = ("cursor", "floor", "unproven")

    def __init__(self, cursor: int | None, unproven: bool) -> None:
        self.cursor = cursor  # id of the last log message that the client has
        self.floor = 0  # the last id sent, of either kind
        self.unproven = unproven  # a reset is due, whatever the log says


class Subscription:
    """
    What one stream sends: the replay from its cursor, then what the hub pushes.

    In each channel ids only rise, and none comes twice. ``push``, ``pause``, ``resume`` and
    ``end`` are called by the hub; none of them waits. The buffer holds
    ``NOTIFICATIONS_BUFFER_MAX_BYTES``; over that it is dropped, and the stream reads on from
    Redis once its client takes data again.
    """

    __slots__ = (
        "_behind",
        "_buffer",
        "_ended",
        "_hub_ready",
        "_opened",
        "_places",
        "_refused",
        "_replaying",
        "_said_paused",
        "_size",
        "_waiter",
        "_waiting_since",
        "channels",
        "cut_off",
        "holder",
        "outlet",
    )

    def __init__(
        self,
        channels: Sequence[str],
        cursor: Mapping[str, int] | None = None,
        holder: Holder = VISITOR,
        refused: Sequence[str] = (),
    ) -> None:
        """
        Subscribe to ``channels`` from ``cursor`` on, or from now on where it is None.

        A channel that the cursor leaves out is not proven: its stream begins with a reset. So does
        one whose client asked for ``refused`` channels too; nothing else is said of them.
        """
        self.channels = tuple(channels)
        self._refused = tuple(refused)
        self.holder = holder
        known = cursor or {}
        self._places = {
            name: Place(known.get(name), unproven=cursor is not None and name not in known)
            for name in self.channels
        }
        self._buffer: list[Batch | Reset | bytes] = []
        self._size = 0
        self._behind = True  # the log must be read before what the hub pushes is of use
        self._hub_ready = False
        self._opened = False
        self._said_paused = False
        self._ended = False
        self._replaying: AsyncGenerator[bytes] | None = None
        self._waiting_since: float | None = None  # with nothing to send
        self._waiter: asyncio.Future[None] | None = None
        # Set by whoever holds the socket: what writes to it, and what ends one that takes nothing.
        self.outlet: Outlet | None = None
        self.cut_off: Callable[[], None] | None = None

    def push(self, item: Batch | Reset) -> None:
        """Queue messages, or a reset."""
        if self._behind:
            # The read of the log, which is to come, will find messages; not so a reset, since
            # an older cursor may be in the log that Redis came back with.
            if isinstance(item, Reset):
                self._places[item.channel].unproven = True
            return
        self._buffer.append(item)
        waiter = self._waiter
        if waiter is None or waiter.done():  # busy, or woken already
            self._size += item.size
            if self._size > conf.buffer_max_bytes:
                self._fall_behind()
        elif self.outlet is not None and self.outlet.is_direct:
            chunk = self._take()
            self._waiting_since = monotonic()
            if chunk and not self.outlet.write_now(chunk):
                waiter.set_result(None)
        else:
            waiter.set_result(None)

    def pause(self) -> None:
        """Tell the client that nothing comes for now."""
        self._hub_ready = False
        self._say_paused()

    def resume(self) -> None:
        """Messages flow, or flow again."""
        self._hub_ready = True
        if self._said_paused:
            self._said_paused = False
            self._buffer.append(LIVE)
        self._wake()

    def tick(self, now: float, keep_alive_seconds: float, stall_seconds: float) -> None:
        """
        Do what is due at ``now`` (of ``time.monotonic``); the hub calls it each second.

        So an open stream needs no timer of its own, and a message to it starts and stops none.
        """
        if self.outlet is not None and self.outlet.busy_since is not None:
            if now - self.outlet.busy_since > stall_seconds:
                (self.cut_off or self.end)()
            return
        if self._waiting_since is None:
            return  # reading the log, which says for itself how that goes
        silence = now - self._waiting_since
        if not self._opened and not self._said_paused and silence >= PATIENCE_SECONDS:
            self._say_paused()
        elif silence >= keep_alive_seconds and not self._buffer:
            self._buffer.append(KEEP_ALIVE)
            self._wake()

    def end(self, *, retry_ms: int | None = None) -> None:
        """End the stream; what is buffered goes out first, then when the client may come back."""
        if not self._ended:
            self._ended = True
            retry = random.randint(RETRY_FIRST_MS, RETRY_LAST_MS) if retry_ms is None else retry_ms
            self._buffer.append(sse.retry(retry))
            self._wake()

    def refuse(self, condition: str, text: str, *, retry_ms: int = RETRY_FIRST_MS) -> None:
        """End the stream with a ``stream-error``, as django-eventstream words it."""
        if not self._ended:
            data = json.dumps({"condition": condition, "text": text})
            self._buffer.append(sse.event("stream-error", data))
            self.end(retry_ms=retry_ms)

    async def stream(self) -> AsyncGenerator[bytes]:
        """
        Yield the stream's bytes, whole events only, until it ends.

        The subscription must have joined the hub, and leaves it after this.
        """
        try:
            while (chunk := await self.next()) is not None:
                yield chunk
        finally:
            await self.close()

    async def next(self) -> bytes | None:
        """
        Return what ``stream`` yields next, and None at the end; call ``close`` after the last one.

        A server that holds thousands of streams spares a generator for each.
        """
        while True:
            if self._replaying is not None:
                if chunk := await anext(self._replaying, b""):
                    return chunk
                self._replaying = None
            elif self._ended:
                return self._take() or None
            elif self._behind and self._hub_ready:
                self._replaying = self._catch_up()
            elif not self._buffer:
                # There is one reader, who needs no more of an event than a future.
                self._waiter = asyncio.get_running_loop().create_future()
                self._waiting_since = monotonic()
                try:
                    await self._waiter
                finally:
                    self._waiter = self._waiting_since = None
                if self.outlet is not None:
                    await self.outlet.finish()
            elif chunk := self._take():
                return chunk

    async def close(self) -> None:
        """Give up what ``next`` was doing when it was cancelled."""
        if self._replaying is not None:
            await self._replaying.aclose()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _say_paused(self) -> None:
        if not self._said_paused:
            self._said_paused = True
            self._buffer.append(PAUSED)
            self._wake()

    def _fall_behind(self) -> None:
        self._behind = True
        for item in self._buffer:
            if isinstance(item, Reset):
                self._places[item.channel].unproven = True
        # What the transport says of itself stays, or a stream would look paused for good.
        self._buffer = [item for item in self._buffer if isinstance(item, bytes)]
        self._size = 0

    # From the log

    async def _catch_up(self) -> AsyncGenerator[bytes]:
        """Send what the log has after the cursor; from its first read on, the buffer fills."""
        self._behind = False
        reading = asyncio.create_task(self._read_all())
        try:
            while not (await asyncio.wait([reading], timeout=PATIENCE_SECONDS))[0]:
                if self._ended:
                    return
                # Not from the buffer: what is in it comes after what is being read.
                yield KEEP_ALIVE if self._said_paused else PAUSED
                self._said_paused = True
            pages = reading.result()
            if chunk := self._opening(pages) + b"".join(map(self._replay, pages)):
                yield chunk
            for name, page in zip(self.channels, pages, strict=True):
                while page.more and not self._behind:
                    page = await self._read(name)
                    if not page.proven:
                        yield self._reset_to({name: page.reset_id})
                    if chunk := self._replay(page):
                        yield chunk
        except RedisUnavailable:
            self._fall_behind()
            self._say_paused()
            yield self._take() or KEEP_ALIVE
            await asyncio.sleep(PATIENCE_SECONDS)
            return
        finally:
            reading.cancel()
        if self._said_paused and self._hub_ready:
            self.resume()

    async def _read_all(self) -> list[storage.Page[Frame]]:
        return [await self._read(name) for name in self.channels]

    async def _read(self, name: str) -> storage.Page[Frame]:
        return await storage.aread(name, self._places[name].cursor, Frame.unpack)

    def _opening(self, pages: Sequence[storage.Page[Frame]]) -> bytes:
        """
        Return ``stream-open`` the first time, and ``stream-reset`` where a cursor is not proven.

        An id tells the client that it has everything up to there, so it stands on the later one
        of the two: a client that loses its connection in between is reset again.
        """
        unproven = {}
        for page in pages:
            place = self._places[page.channel]
            if place.unproven or not page.proven:
                unproven[page.channel] = page.reset_id
            elif place.cursor is None:
                place.cursor = page.log_head
            place.unproven = False
        opening = b""
        if not self._opened:
            self._opened = True
            opening = b"" if unproven else self._id_line()
            opening += sse.event("stream-open")
        if unproven or self._refused:
            opening += self._reset_to(unproven, self._refused)
            self._refused = ()
        return opening

    def _reset_to(self, cursor: Mapping[str, int], refused: Sequence[str] = ()) -> bytes:
        for name, id in cursor.items():
            self._places[name].cursor = id
        channels = json.dumps({"channels": [*cursor, *refused]})
        return self._id_line() + sse.event("stream-reset", channels)

    def _id_line(self, first: str = "") -> bytes:
        """Return the cursor's line; it begins with the channel ``first``."""
        places = self._places.items()
        cursor = {name: place.cursor for name, place in places if place.cursor is not None}
        if first in cursor:
            cursor = {first: cursor.pop(first), **cursor}
        return sse.id_line(cursor)

    def _replay(self, page: storage.Page[Frame]) -> bytes:
        place = self._places[page.channel]
        frames = storage.in_order(page, place.floor)
        chunk = b"".join([self._send(frame, place) for frame in frames])
        if not page.more:
            # What the hub pushed up to here was in the page, or replaced by what was.
            place.floor = max(place.floor, page.head)
        return chunk

    # From the hub

    def _take(self) -> bytes:
        """Empty the buffer into one chunk; of the latest values of a key only the newest goes."""
        items, self._buffer, self._size = self._buffer, [], 0
        if len(items) == 1 and isinstance(items[0], Batch) and len(self._places) == 1:
            batch = items[0]
            place = self._places[batch.channel]
            if batch.first > place.floor:  # nearly always: nobody else's bytes are made twice
                place.floor = batch.last
                place.cursor = batch.cursor or place.cursor
                return batch.wire
        newest = {
            (frame.channel, frame.key): frame.id
            for item in items
            if isinstance(item, Batch)
            for frame in item.frames
        }
        chunk = []
        for item in items:
            if isinstance(item, bytes):
                chunk.append(item)
            elif isinstance(item, Reset):
                # A read of the log may have gone further than the hub.
                cursor = max(item.id, self._places[item.channel].cursor or 0)
                chunk.append(self._reset_to({item.channel: cursor}))
            else:
                place = self._places[item.channel]
                chunk += [
                    self._send(frame, place)
                    for frame in item.frames
                    if frame.id > place.floor
                    and (not frame.key or newest[frame.channel, frame.key] == frame.id)
                ]
        return b"".join(chunk)

    def _send(self, frame: Frame, place: Place) -> bytes:
        place.floor = frame.id
        if not frame.key:
            place.cursor = frame.id
        if len(self._places) == 1:
            return frame.wire
        # So that a client knows whose message it is, a latest value too.
        return self._id_line(frame.channel) + frame.body
