"""
Where messages are kept in Redis; the one place that writers and readers share.

A channel has three keys, joined by a hash tag so that one script may touch them all::

    notifications:{user-42}:log      stream: its log messages, entry ``<id>-0``, one field ``m``
    notifications:{user-42}:latest   hash: the newest message of each key
    notifications:{user-42}:head     hash: ``id``, the last id given; ``log``, that of the log;
                                     ``lost``, the last id that Redis is known to have forgotten

and one Pub/Sub channel, ``notifications:{user-42}``. In all of them a message is the same five
lines: id, prev, key, type, data.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from redis.exceptions import ResponseError

from .conf import conf
from .connections import exchange, redis_errors, run, run_many
from .exceptions import PublishFailed
from .messages import Message
from .multiplexer import get_multiplexer
from .scripts import Script, command

logger = logging.getLogger(__name__)

PAGE_LENGTH: Final = 500  # log messages read at once: at most 32 MB, mostly under 200 KB

# A head outlives its log, so that ids go on rising and a page that was open over a quiet week can
# still prove where it stands.
HEAD_RETENTIONS: Final = 8

# TIME and the following writes are replicated as effects, the default since Redis 5.
PUBLISH: Final = Script("""
local log, latest, head = KEYS[1], KEYS[2], KEYS[3]
local live, type, data, key, clear = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local length, retention, head_retention = ARGV[6], tonumber(ARGV[7]), ARGV[8]

local now = redis.call('TIME')
local micros = now[1] * 1000000 + now[2]
local known = redis.call('HMGET', head, 'id', 'log')
local last, prev = tonumber(known[1] or '0'), known[2] or '0'
if not known[2] then
  -- The head was evicted or never there: what the log still holds must not be numbered again.
  local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  if newest then
    prev = string.match(newest[1], '^%d+')
    last = math.max(last, tonumber(prev))
  end
end
local id = string.format('%.0f', math.max(micros, last + 1))
local packed = table.concat({id, prev, key, type, data}, '\\n')

if key == '' then
  redis.call('XADD', log, 'MAXLEN', '~', length, id .. '-0', 'm', packed)
  redis.call('PEXPIRE', log, retention)
  redis.call('HSET', head, 'id', id, 'log', id)
  if clear ~= '' then redis.call('HDEL', latest, clear) end
else
  redis.call('HSET', latest, key, packed)
  redis.call('PEXPIRE', latest, retention)
  redis.call('HSET', head, 'id', id)
end
if not known[1] or math.floor(last / 60000000) ~= math.floor(micros / 60000000) then
  -- The first message in a minute clears up; to do it with each would take a fifth of the time.
  redis.call('XTRIM', log, 'MINID', '~', string.format('%.0f', micros - retention * 1000))
  redis.call('PEXPIRE', head, head_retention)
end
redis.call('PUBLISH', live, packed)
return id
""")

# Gives a channel without a head the present moment as its last id. Cursor 0 would look the same
# before the first message and after the loss of all of them; a moment does not come again. So does
# a channel whose head is from before the last restart of Redis, since no cursor from then is
# proven. A Redis that takes no writes leaves it as it is.
_BEGIN: Final = """
local function begin(head, retention)
  local now = redis.call('TIME')
  local last = tonumber(redis.call('HGET', head, 'id') or '0')
  local moment = string.format('%.0f', math.max(now[1] * 1000000 + now[2], last + 1))
  local begun = redis.pcall('HSET', head, 'id', moment, 'log', moment)
  if type(begun) == 'table' then return redis.call('HMGET', head, 'id', 'log', 'lost') end
  redis.call('PEXPIRE', head, retention)
  return redis.call('HMGET', head, 'id', 'log', 'lost')
end
"""

# Everything that a reader needs, as of one moment. The cursor itself is read along, if it is in
# the log, since that proves it.
READ: Final = Script(
    _BEGIN
    + """
local known = redis.call('HMGET', KEYS[3], 'id', 'log', 'lost')
if tonumber(known[2] or '-1') < tonumber(ARGV[4]) then known = begin(KEYS[3], ARGV[3]) end
local reply = {known[1] or '0', known[2] or '0', known[3] or '0', redis.call('HVALS', KEYS[2])}
if ARGV[1] ~= '' then
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])) do
    table.insert(reply, entry[2][2])
  end
end
return reply
"""
)

CURSOR: Final = Script(
    _BEGIN
    + """
return redis.call('HGET', KEYS[1], 'log') or begin(KEYS[1], ARGV[1])[2] or '0'
"""
)

# Whoever was away when Redis went back to an older state can't see that from the log: their cursor
# is in it. A hub that knew a later id leaves word.
MARK_LOST: Final = Script("""
local lost = tonumber(redis.call('HGET', KEYS[1], 'lost') or '0')
if tonumber(ARGV[1]) > lost then redis.call('HSET', KEYS[1], 'lost', ARGV[1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")


class Keys(NamedTuple):
    """The names in Redis of one channel."""

    log: str
    latest: str
    head: str
    live: str

    @classmethod
    def of(cls, channel: str) -> "Keys":
        return _keys(live_name(channel))


@lru_cache(maxsize=1024)  # who publishes does so again; a stream reads once
def _keys(base: str) -> Keys:
    return Keys(f"{base}:log", f"{base}:latest", f"{base}:head", base)


def kick_name() -> str:
    """Return the name of the Pub/Sub channel over which kicks are said."""
    return f"{conf.prefix}:kick"


def announce_kick(user: str, what: str) -> None:
    """
    Tell every process to end or check the streams of the user with this primary key.

    ``what`` is "all", "check", or the digest of a session. Raises ``RedisUnavailable``.
    """
    with redis_errors("A kick was not said"):
        exchange([command("PUBLISH", kick_name(), f"{what}\n{user}")])


def live_name(channel: str) -> str:
    """Return the name of the Pub/Sub channel of ``channel``."""
    return f"{conf.prefix}:{{{channel}}}"


class Stored(Protocol):
    """A message in whatever form its reader wants it; ``key`` is empty for a log message."""

    @property
    def id(self) -> int: ...
    @property
    def prev(self) -> int: ...


M = TypeVar("M", bound=Stored)
Unpack = Callable[[str, bytes], M]  # from the channel and the packed form


class Page(NamedTuple, Generic[M]):
    """
    What a channel held at one moment, as seen from a cursor.

    ``head`` is the last id given on the channel, ``log_head`` that of its last log message.
    ``proven`` tells that nothing is missing between the cursor and ``log``; it is true without a
    cursor. ``log`` has the log messages after the cursor, in order, ``PAGE_LENGTH`` at most;
    ``more`` says that others follow. ``latest`` has the latest values by rising id.
    """

    channel: str
    head: int
    log_head: int
    proven: bool
    log: Sequence[M]
    latest: Sequence[M]
    more: bool

    @property
    def reset_id(self) -> int:
        """The cursor to go on from after a reset: all that is known comes after it."""
        return self.log[0].prev if self.log else self.log_head


def append(channel: str, type: str, text: str, key: str = "", clear: str = "") -> int:
    """
    Store one message and tell all who listen, atomically, in one round trip; return its id.

    The id is the larger of Redis's clock in microseconds and the channel's last id + 1. Raises
    ``PublishFailed`` when Redis does not confirm within ``NOTIFICATIONS_REDIS_TIMEOUT_SECONDS``.
    The caller has checked the message.
    """
    keys, args = _append_arguments(channel, type, text, key, clear)
    with redis_errors(f"Nothing was published on {channel!r}", PublishFailed):
        return int(run(PUBLISH, keys, args))


def append_many(items: Sequence[tuple[str, str, str, str, str]]) -> list[int]:
    """
    Append as ``append`` does, once for each item, many in a round trip.

    An item is (channel, type, text, key, clear). Each message is atomic, the whole is not: where
    ``PublishFailed`` is raised some may have been published, in order from the first.
    """
    with redis_errors("Not all messages were published", PublishFailed):
        return [int(id) for id in run_many(PUBLISH, (_append_arguments(*item) for item in items))]


def _append_arguments(
    channel: str, type: str, text: str, key: str, clear: str
) -> tuple[list[str], list[str | int]]:
    keys = Keys.of(channel)
    retention = int(conf.retention_seconds * 1000)
    limits = [conf.log_length, retention, retention * HEAD_RETENTIONS]
    return [keys.log, keys.latest, keys.head], [keys.live, type, text, key, clear, *limits]


def cursors(channels: Iterable[str]) -> dict[str, int]:
    """
    Return each channel's cursor: the id of its last log message, or of the present moment.

    Read it before the data that a page shows. A stream opened from it then repeats what the page
    may know already, and misses nothing. Raises ``RedisUnavailable``.
    """
    names = list(channels)
    with redis_errors("The cursor can't be read"):
        calls = [([Keys.of(channel).head], [_head_retention()]) for channel in names]
        return dict(zip(names, map(int, run_many(CURSOR, calls)), strict=True))


def latest_values(channel: str) -> dict[str, Message]:
    """Return the latest value of each key of ``channel``. Raises ``RedisUnavailable``."""
    with redis_errors("The latest values can't be read"):
        packed = exchange([command("HVALS", Keys.of(channel).latest)])[0]
    return {message.key: message for message in _latest(channel, packed, Message.unpack)}


def read(channel: str, after: int | None = None) -> Page[Message]:
    """
    Read a channel from a cursor on; see ``Page``. Raises ``RedisUnavailable``.

    A channel that has no head begins now.
    """
    with redis_errors("The log can't be read"):
        keys, args = _read_arguments(channel, after)
        reply = run(READ, keys, [*args, 0])
    return _page(channel, after, 0, reply, Message.unpack)


async def aread(channel: str, after: int | None, unpack: Unpack[M]) -> Page[M]:
    """Read as ``read`` does, without blocking, and into messages of the reader's own form."""
    with redis_errors("The log can't be read"):
        since, reply = await get_multiplexer().run_since(READ, *_read_arguments(channel, after))
    return _page(channel, after, since, reply, unpack)


async def amark_lost(channel: str, id: int) -> None:
    """
    Note that log messages up to ``id`` are gone, so that no older cursor is proven.

    A Redis that takes no writes at that moment is passed over, with a warning: those who are
    connected are reset all the same.
    """
    with redis_errors("A loss can't be noted"):
        try:
            await get_multiplexer().run(MARK_LOST, [Keys.of(channel).head], [id, _head_retention()])
        except ResponseError as error:
            logger.warning("A loss on %s could not be noted: %s", channel, error)


async def aheads(channels: Sequence[str]) -> list[int]:
    """Return the last id given on each channel (0: none is known), in one round trip."""
    with redis_errors("The heads can't be read"):
        commands = [command("HGET", Keys.of(channel).head, "id") for channel in channels]
        return [int(value or 0) for value in await get_multiplexer().request(commands)]


def in_order(page: Page[M], seen: int) -> list[M]:
    """
    Return what a page has after id ``seen``, of both kinds, by rising id.

    While ``page.more``, latest values newer than its log messages are left for the next page.
    """
    end = page.log[-1].id if page.more else None
    latest = [value for value in page.latest if end is None or value.id < end]
    merged = [*page.log, *latest]
    if latest:
        merged.sort(key=_id)
    return merged if merged and merged[0].id > seen else [m for m in merged if m.id > seen]


def _head_retention() -> int:
    return int(conf.retention_seconds * 1000) * HEAD_RETENTIONS


def _read_arguments(channel: str, after: int | None) -> tuple[list[str], list[str | int]]:
    keys = Keys.of(channel)
    start = "" if after is None else f"{after}-0"
    # One more than a page, to see whether others follow, and one for the cursor's own entry.
    return [keys.log, keys.latest, keys.head], [start, PAGE_LENGTH + 2, _head_retention()]


def _page(
    channel: str, after: int | None, since: int, reply: list[Any], unpack: Unpack[M]
) -> Page[M]:
    head, log_head, lost, latest, *entries = reply
    log = [unpack(channel, entry) for entry in entries]
    proven = after is None or (after > 0 and after == int(log_head))
    if after is not None and log:
        if log[0].id == after:
            proven = True
            del log[0]
        elif log[0].prev == after and after > 0:
            proven = True
    if after is not None and (after < since or after < int(lost)):
        proven = False
    return Page(
        channel=channel,
        head=int(head),
        log_head=int(log_head),
        proven=proven,
        log=log[:PAGE_LENGTH],
        latest=_latest(channel, latest, unpack),
        more=len(log) > PAGE_LENGTH,
    )


def _latest(channel: str, packed: Iterable[bytes], unpack: Unpack[M]) -> list[M]:
    # Redis before 7.4 can't let a single field expire, so the readers pass over what is too old.
    oldest = int((time.time() - conf.retention_seconds) * 1_000_000)
    values = [unpack(channel, value) for value in packed]
    return sorted((value for value in values if value.id >= oldest), key=_id)


def _id(message: Stored) -> int:
    return message.id
