"""
The event stream's format: frames and cursors.

Frames are those of the WHATWG HTML standard, chapter "Server-sent events". The cursor is the form
that django-eventstream uses for ``id:`` and ``Last-Event-ID``: ``channel:id[,channel:id]``, with
the channel percent-encoded.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

# What a client sends of itself; longer than any cursor that this site gives out.
LAST_EVENT_ID_MAX_LENGTH = 8192

_LINE_BREAK = re.compile(rb"\r\n|\r|\n")
_ID = re.compile(r"[0-9]{1,16}")
_ID_LIMIT = 2**53


class Frame(NamedTuple):
    """
    One message as it goes to every stream of a channel, encoded once.

    ``wire`` is whole for a stream of this channel alone. The rest is as in ``Message``.
    """

    channel: str
    id: int
    prev: int
    key: bytes
    wire: bytes

    @classmethod
    def unpack(cls, channel: str, packed: bytes) -> "Frame":
        """Read the form that ``storage``'s script writes, as ``Message.unpack`` does."""
        id, prev, key, type, data = packed.split(b"\n", 4)
        if b"\n" in data or b"\r" in data:
            data = b"\ndata: ".join(_LINE_BREAK.split(data))
        if key:
            wire = b"event: %b\ndata: %b\n\n" % (type, data)
        else:
            wire = b"id: %b:%b\nevent: %b\ndata: %b\n\n" % (_quoted(channel), id, type, data)
        return cls(channel, int(id), int(prev), key, wire)

    @property
    def body(self) -> bytes:
        """What a stream of several channels sends after an ``id:`` line of its own."""
        return self.wire if self.key else self.wire.partition(b"\n")[2]


class Batch:
    """
    Consecutive messages of one channel that came together.

    A stream of this channel alone that has none of them yet sends ``wire``, joined once for all
    such streams. Of the latest values of a key only the newest is in it.
    """

    __slots__ = ("channel", "cursor", "first", "frames", "last", "size", "wire")

    def __init__(self, frames: Sequence[Frame]) -> None:
        """Join ``frames``, of which there is at least one."""
        self.channel, self.first, _, key, self.wire = frames[0]
        self.last = self.first
        # The id of the last log message; 0 where there is none.
        self.cursor = 0 if key else self.first
        if len(frames) > 1:
            self.last = frames[-1].id
            frames = newest_only(frames)
            self.cursor = max([0 if frame.key else frame.id for frame in frames])
            self.wire = b"".join([frame.wire for frame in frames])
        self.frames = frames
        self.size = len(self.wire)


def newest_only(frames: Sequence[Frame]) -> Sequence[Frame]:
    """Return ``frames`` of one channel without the latest values that a later one replaces."""
    newest = {frame.key: frame.id for frame in frames if frame.key}
    return [frame for frame in frames if not frame.key or newest[frame.key] == frame.id]


class Reset(NamedTuple):
    """A channel's streams may have missed something; they go on from the cursor ``id``."""

    channel: str
    id: int
    size: int = 0  # it counts for nothing in a buffer


def event(type: str, data: str = "") -> bytes:
    """Return an event of the transport's own: without an id, its ``data`` a single line."""
    return b"event: %b\ndata: %b\n\n" % (type.encode(), data.encode())


def retry(milliseconds: int) -> bytes:
    """Return the field that sets how long a client waits before it reconnects."""
    return b"retry: %d\n\n" % milliseconds


def id_line(cursor: Mapping[str, int]) -> bytes:
    """Return the ``id:`` field for a cursor."""
    return b"id: %b\n" % format_cursor(cursor).encode()


def format_cursor(cursor: Mapping[str, int]) -> str:
    """Return ``channel:id[,channel:id]``."""
    return ",".join(f"{quote(channel, safe='')}:{id}" for channel, id in cursor.items())


@lru_cache(maxsize=4096)
def _quoted(channel: str) -> bytes:
    return quote(channel, safe="").encode()


def parse_cursor(text: str) -> dict[str, int]:
    """
    Return the channels and ids that ``text`` names; what is not a cursor is left out.

    A client may send anything here. A channel that it leaves out, or garbles, counts as not proven
    where a cursor was sent at all.
    """
    cursor = {}
    for part in text[:LAST_EVENT_ID_MAX_LENGTH].split(","):
        channel, _, id = part.strip().rpartition(":")
        if channel and _ID.fullmatch(id) and 0 < int(id) < _ID_LIMIT:
            cursor[unquote(channel)] = int(id)
    return cursor
