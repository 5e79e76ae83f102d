"""
The event stream's format: frames and cursors.

Frames are those of the WHATWG HTML standard, chapter "Server-sent events". The cursor is the form
that django-eventstream uses for ``id:`` and ``Last-Event-ID``: ``channel:id[,channel:id]``, with
the channel percent-encoded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote

from .messages import Message

# What a client sends of itself; longer than any cursor that this site gives out.
LAST_EVENT_ID_MAX_LENGTH = 8192

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_ID = re.compile(r"[0-9]{1,16}")
_ID_LIMIT = 2**53


@dataclass(frozen=True, slots=True)
class Frame:
    """
    One message as it goes to every stream of a channel, encoded once.

    ``body`` lacks the ``id:`` line; ``wire`` is whole for a stream of this channel alone.
    """

    channel: str
    id: int
    key: str
    body: bytes
    wire: bytes

    @classmethod
    def of(cls, message: Message) -> "Frame":
        body = event(message.type, message.data)
        wire = body if message.key else id_line({message.channel: message.id}) + body
        return cls(message.channel, message.id, message.key, body, wire)


@dataclass(frozen=True, slots=True)
class Reset:
    """A channel's streams may have missed something; they go on from the cursor ``id``."""

    channel: str
    id: int


def event(type: str, data: str = "") -> bytes:
    """Return an event without an id; ``data`` is split into a field for each of its lines."""
    lines = "\ndata: ".join(_LINE_BREAK.split(data)) if "\n" in data or "\r" in data else data
    return f"event: {type}\ndata: {lines}\n\n".encode()


def retry(milliseconds: int) -> bytes:
    """Return the field that sets how long a client waits before it reconnects."""
    return b"retry: %d\n\n" % milliseconds


def id_line(cursor: Mapping[str, int]) -> bytes:
    """Return the ``id:`` field for a cursor."""
    return f"id: {format_cursor(cursor)}\n".encode()


def format_cursor(cursor: Mapping[str, int]) -> str:
    """Return ``channel:id[,channel:id]``."""
    return ",".join(f"{_quoted(channel)}:{id}" for channel, id in cursor.items())


@lru_cache(maxsize=16_384)
def _quoted(channel: str) -> str:
    return quote(channel, safe="")


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
