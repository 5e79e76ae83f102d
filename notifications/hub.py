"""
The hub: one per process (and event loop), between Redis and the streams.

It listens to the channels that its streams need, checks that no message is missing, encodes each
once and pushes it to the subscriptions of its channel. It knows, for every channel, the last log
message and the last id that it passed on; each published message names the log message before it,
so a gap shows at once and is read from the log.
"""

import asyncio
import logging
import random
from collections.abc import Coroutine, Sequence
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from django.db import DatabaseError, connections
from redis.exceptions import RedisError

from . import storage
from .conf import conf
from .exceptions import RedisUnavailable
from .listener import Listener
from .multiplexer import close_multiplexers
from .permissions import Claim, session_digest, withdrawn
from .sse import Batch, Frame, Reset
from .subscription import Subscription

logger = logging.getLogger(__name__)

# Waits between attempts to reach Redis: doubled from the first to the last, with jitter.
RECONNECT_FIRST_SECONDS = 0.1
RECONNECT_LAST_SECONDS = 2.0

# A connection that gives no sign for this long is asked, and after as long again given up.
SILENCE_SECONDS = 5

# Messages kept while a channel is being read; beyond them it is read once more instead.
STASH_LENGTH = 1000

# How often streams are looked at for a keep-alive that is due and for a client that takes nothing.
TICK_SECONDS = 1.0

LIMIT_RETRY_MS = 60_000  # for a stream that was one too many


class Channel:
    """What the hub knows of one channel: who listens, and how far it has passed messages on."""

    __slots__ = (
        "log_head",
        "name",
        "overrun",
        "ready",
        "seen",
        "stash",
        "subscriptions",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.subscriptions: set[Subscription] = set()
        self.log_head: int | None = None  # id of the last log message; None before the first read
        self.seen = 0  # the last id passed on, of either kind
        # Messages are passed on; otherwise they wait in the stash for a read of the log.
        self.ready = False
        self.stash: list[Frame] = []
        self.overrun = False  # the stash was full, so the log must be read once more


class Hub:
    """Joins subscriptions to Redis; used from one event loop."""

    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}
        self._by_live_name: dict[bytes, Channel] = {}
        self._subscriptions: set[Subscription] = set()
        # In the order in which they came, so that the first is the oldest.
        self._by_user: dict[str, dict[Subscription, None]] = {}
        self._draining = False
        self._tasks_for_life: list[asyncio.Task[None]] = []
        # These two stand while there is a connection; its tasks end with it.
        self._listener: Listener | None = None
        self._tasks: asyncio.TaskGroup | None = None

    # Subscriptions come and go

    def join(self, subscription: Subscription) -> None:
        """Pass messages to ``subscription`` until it leaves."""
        self._subscriptions.add(subscription)
        if self._draining:
            subscription.end()
            return
        if subscription.holder.user:
            own = self._by_user.setdefault(subscription.holder.user, {})
            own[subscription] = None
            if len(own) > conf.streams_per_user:
                self._end_oldest(own)
        new = []
        for name in subscription.channels:
            channel = self._channels.get(name)
            if channel is None:
                channel = self._channels[name] = Channel(name)
                live_name = storage.live_name(name)
                self._by_live_name[live_name.encode()] = channel
                new.append(live_name)
            channel.subscriptions.add(subscription)
        self._resume_if_ready(subscription)
        if not self._tasks_for_life:
            for work in (self._run(), self._tick(), self._sweep_now_and_then()):
                self._tasks_for_life.append(asyncio.create_task(work))
        elif new and self._listener is not None:
            self._listener.subscribe(new)

    def leave(self, subscription: Subscription) -> None:
        """Pass nothing on to ``subscription`` any more."""
        self._subscriptions.discard(subscription)
        if own := self._by_user.get(subscription.holder.user):
            own.pop(subscription, None)
            if not own:
                del self._by_user[subscription.holder.user]
        gone = []
        for name in subscription.channels:
            channel = self._channels.get(name)
            if channel is None or subscription not in channel.subscriptions:
                continue  # it came while the hub was draining
            channel.subscriptions.remove(subscription)
            if not channel.subscriptions:
                del self._channels[name]
                live_name = storage.live_name(name)
                del self._by_live_name[live_name.encode()]
                gone.append(live_name)
        if gone and self._listener is not None:
            self._listener.unsubscribe(gone)

    def __len__(self) -> int:
        """Return the number of open streams."""
        return len(self._subscriptions)

    def drain(self) -> None:
        """End every stream, and each that opens from now on; their clients go elsewhere."""
        self._draining = True
        for subscription in self._subscriptions:
            subscription.end()

    async def close(self) -> None:
        """Let go of Redis, for good."""
        self.drain()
        for task in self._tasks_for_life:
            task.cancel()
        await asyncio.gather(*self._tasks_for_life, return_exceptions=True)
        close_multiplexers()

    def _end_oldest(self, own: dict[Subscription, None]) -> None:
        oldest = next(iter(own))
        del own[oldest]
        # It comes back, and would end the next; so not soon.
        oldest.refuse("too-many-streams", "Too many pages are open.", retry_ms=LIMIT_RETRY_MS)

    # Who may no longer read

    def _kick(self, payload: bytes) -> None:
        what, _, user = payload.decode().partition("\n")
        streams = list(self._by_user.get(user, ()))
        if what == "check":
            if streams:
                self._spawn(self._check(streams))
            return
        for stream in streams:
            if what in ("all", session_digest(stream.holder.session)):
                stream.refuse("forbidden", "You may no longer read this.")

    async def _sweep_now_and_then(self) -> None:
        """Look again at every stream: Pub/Sub may have lost a kick."""
        while True:
            await asyncio.sleep(conf.sweep_seconds * random.uniform(0.8, 1.2))
            await self._check(list(self._subscriptions))

    async def _check(self, streams: list[Subscription]) -> None:
        claims = {stream: Claim(stream.holder, stream.channels) for stream in streams}
        try:
            gone = await asyncio.get_running_loop().run_in_executor(
                None, _withdrawn, set(claims.values())
            )
        except DatabaseError as error:
            logger.warning("Streams could not be checked, the next sweep will: %s", error)
            return
        for stream, claim in claims.items():
            if claim in gone:
                stream.refuse("forbidden", "You may no longer read this.")

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now, keep_alive, stall = monotonic(), conf.keep_alive_seconds, conf.stall_seconds
            for stream in self._subscriptions:
                stream.tick(now, keep_alive, stall)

    # The connection

    async def _run(self) -> None:
        """Listen for as long as the process lives, over one connection after another."""
        delay = RECONNECT_FIRST_SECONDS
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await self._connect_and_listen()
            except* (RedisError, RedisUnavailable, OSError) as lost:
                self._pause(lost.exceptions[0])
            except* Exception as fault:
                logger.exception("The hub starts anew after an unexpected error")
                self._pause(fault.exceptions[0])
            if asyncio.get_running_loop().time() - started > RECONNECT_LAST_SECONDS:
                delay = RECONNECT_FIRST_SECONDS
            await asyncio.sleep(delay * random.uniform(0.5, 1))
            delay = min(delay * 2, RECONNECT_LAST_SECONDS)

    async def _connect_and_listen(self) -> None:
        async with Listener(self._hear) as listener, asyncio.TaskGroup() as tasks:
            self._listener, self._tasks = listener, tasks
            try:
                names = [storage.live_name(name) for name in self._channels]
                listener.subscribe([storage.kick_name(), *names])
                self._spawn(self._watch(listener))
                self._spawn(self._compare_now_and_then())
                await listener.lost()
            finally:
                self._listener = self._tasks = None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """
        Run ``work`` beside the listener; a failure of either ends both.

        Without a connection, or beside one that is ending, it is left undone: the next one begins
        by subscribing to every channel and reading each.
        """
        try:
            if self._tasks is not None:
                self._tasks.create_task(work)
                return
        except RuntimeError:
            pass  # the group is shutting down
        work.close()

    async def _watch(self, listener: Listener) -> None:
        while listener.ping():
            await asyncio.sleep(SILENCE_SECONDS)
        raise RedisUnavailable(f"Redis has been silent for {SILENCE_SECONDS} s")

    async def _compare_now_and_then(self) -> None:
        """Compare every channel with Redis: Pub/Sub can go deaf without a word."""
        while True:
            await asyncio.sleep(conf.resync_seconds * random.uniform(0.8, 1.2))
            channels = [channel for channel in self._channels.values() if channel.ready]
            heads = await storage.aheads([channel.name for channel in channels])
            for channel, head in zip(channels, heads, strict=True):
                if head != channel.seen and channel.ready:
                    self._sync(channel)

    def _pause(self, error: BaseException) -> None:
        """Hold every channel until Redis is back, and tell the streams."""
        logger.warning("Streams are paused until Redis is back: %s", error)
        for channel in self._channels.values():
            channel.ready = False
            channel.stash.clear()  # Redis may come back without them; the log has the others
            channel.overrun = False
        for subscription in self._subscriptions:
            subscription.pause()

    # Messages

    def _hear(self, heard: Sequence[list[Any]]) -> None:
        """Take what has come from Redis at once; each stream gets its part in one piece."""
        by_channel: dict[Channel, list[Frame]] = {}
        for reply in heard:
            what, name = reply[0], reply[1]
            channel = self._by_live_name.get(name)
            if what == b"message":
                if channel is not None:
                    frame = Frame.unpack(channel.name, reply[2])
                    if channel in by_channel:
                        by_channel[channel].append(frame)
                    else:
                        by_channel[channel] = [frame]
                elif name == storage.kick_name().encode():
                    self._kick(reply[2])
            elif what == b"subscribe" and channel is not None:
                self._sync(channel)
        for channel, frames in by_channel.items():
            self._receive(channel, frames)

    def _receive(self, channel: Channel, frames: Sequence[Frame]) -> None:
        """Pass on what follows upon what is known; read the log where something is missing."""
        proven: list[Frame] = []
        log_head, seen = channel.log_head, channel.seen
        for frame in frames:
            if not channel.ready:
                if len(channel.stash) < STASH_LENGTH:
                    channel.stash.append(frame)
                else:
                    channel.overrun = True
            elif frame.id <= seen:
                pass  # a read of the log was faster
            elif frame.prev != log_head:
                self._pass_on(channel, proven)
                proven = []
                self._sync(channel)
                channel.stash.append(frame)
            else:
                proven.append(frame)
                seen = frame.id
                if not frame.key:
                    log_head = seen
        self._pass_on(channel, proven)

    def _pass_on(self, channel: Channel, frames: Sequence[Frame]) -> None:
        if not frames:
            return
        batch = Batch(frames)
        channel.seen = batch.last
        channel.log_head = batch.cursor or channel.log_head
        for subscription in channel.subscriptions:
            subscription.push(batch)

    def _sync(self, channel: Channel) -> None:
        """Hold a channel's messages until what it has beyond those passed on has been read."""
        channel.ready = False
        self._spawn(self._read_on(channel))

    async def _read_on(self, channel: Channel) -> None:
        more = True
        while more:
            page = await storage.aread(channel.name, channel.log_head, Frame.unpack)
            if channel.log_head is not None:
                if not page.proven:
                    await storage.amark_lost(channel.name, channel.log_head)
                    self._reset(channel, page)
                self._pass_on(channel, storage.in_order(page, channel.seen))
            # Else nothing was passed on yet: each stream reads the channel from its own cursor.
            more = page.more or channel.overrun
            if channel.overrun:
                channel.stash.clear()
                channel.overrun = False
        channel.log_head, channel.seen = page.log_head, page.head
        channel.ready = True
        stash, channel.stash = channel.stash, []
        self._receive(channel, stash)
        for subscription in channel.subscriptions:
            self._resume_if_ready(subscription)

    def _resume_if_ready(self, subscription: Subscription) -> None:
        if all(self._channels[name].ready for name in subscription.channels):
            subscription.resume()

    def _reset(self, channel: Channel, page: storage.Page[Frame]) -> None:
        reset = Reset(channel.name, page.reset_id)
        logger.warning("%s: messages may be missing after %s", channel.name, channel.log_head)
        for subscription in channel.subscriptions:
            subscription.push(reset)


def _withdrawn(claims: set[Claim]) -> set[Claim]:
    try:
        return withdrawn(claims)
    finally:
        connections.close_all()  # this thread's; it may not be used again for long


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def get_hub() -> Hub:
    """Return the hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())


def drain_all() -> None:
    """Drain the hubs of this process; safe in a signal handler and from any thread."""
    for loop, hub in list(_hubs.items()):
        if not loop.is_closed():
            loop.call_soon_threadsafe(hub.drain)
