"""
A message: what is said on a channel, checked before it is sent, and its form inside Redis.

There are two kinds. A *log message* has no key and must arrive. A *latest value* has a key and
replaces the value that its key had before.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from django.core.serializers.json import DjangoJSONEncoder

from .conf import conf
from .exceptions import InvalidMessage, MessageTooLarge

NAME_MAX_LENGTH = 100  # characters, of a type or a key

# Said by the transport itself; a publisher that used them would fool the script in the page.
RESERVED_TYPES = frozenset(
    {
        "stream-open",
        "stream-reset",
        "stream-error",
        "stream-paused",
        "stream-live",
        "keep-alive",
    }
)

_encode = DjangoJSONEncoder(
    separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=True
).encode


class Message(NamedTuple):
    """
    One message of a channel.

    ``id`` and ``prev`` are microseconds since 1970 by Redis's clock, below 2**53; ``prev`` is the
    id of the log message before this one (0: none is known). ``data`` is text, JSON unless it was
    sent raw. ``key`` is empty for a log message.
    """

    channel: str
    id: int
    prev: int
    key: str
    type: str
    data: str

    @classmethod
    def unpack(cls, channel: str, packed: bytes) -> "Message":
        """Read the form that ``storage``'s script writes: five fields, a line each."""
        id, prev, key, type, data = packed.decode().split("\n", 4)
        return cls(channel, int(id), int(prev), key, type, data)


@dataclass(frozen=True, slots=True)
class Draft:
    """One message before it has an id, as ``publish`` takes it in its arguments."""

    channel: str
    type: str
    data: Any
    key: str | None = None
    clear: str | None = None


def encode_data(data: Any) -> str:
    """
    Return ``data`` as JSON text, in Django's flavour (dates, decimals, UUIDs, lazy strings).

    Raises ``InvalidMessage`` for what JSON can't hold (NaN, a set, a circle, half a surrogate).
    """
    try:
        text = _encode(data)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidMessage(
            f"The data of a message must be JSON: {error}. Send dicts, lists, strings, finite "
            "numbers, booleans, None, dates, decimals or UUIDs."
        ) from error
    return text


def check_message(type: str, text: str, key: str = "") -> None:
    """
    Check a message before it is sent; ``text`` is its data as it will stand on the wire.

    Raises ``InvalidMessage`` for a type or key that is empty, too long or has a control character
    (a line break would end the field of the event stream), and ``MessageTooLarge``.
    """
    _check_name("type", type)
    if type in RESERVED_TYPES:
        raise InvalidMessage(f"The type {type!r} belongs to the transport. Choose another.")
    if key:
        _check_name("key", key)
    limit = conf.message_max_bytes
    # A character takes at most four bytes, so most messages are measured without being encoded.
    if len(text) * 4 > limit and (size := len(text.encode())) > limit:
        raise MessageTooLarge(
            f"The data of this {type!r} message is {size:,} bytes; the limit is {limit:,} "
            "(NOTIFICATIONS_MESSAGE_MAX_BYTES). Send an address to fetch it from instead."
        )


def _check_name(field: str, value: str) -> None:
    if not isinstance(value, str) or not value.isprintable() or not value:
        raise InvalidMessage(
            f"The {field} of a message must be text of printable characters without line breaks, "
            f"not {value!r}."
        )
    if len(value) > NAME_MAX_LENGTH:
        raise InvalidMessage(
            f"The {field} of a message may have {NAME_MAX_LENGTH} characters, not {len(value)}."
        )
