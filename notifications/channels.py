"""
Channels: who hears a message, and who may read which.

An app registers the channels that it owns, a prefix and a rule. A channel that nobody owns can be
read by nobody.
"""

import re
from collections.abc import Callable
from typing import Any

from .exceptions import InvalidChannel

CHANNEL_MAX_LENGTH = 200  # characters

# Braces mark the part of a key that Redis Cluster hashes; white space would end a line of a
# cursor or a command.
_CHANNEL = re.compile(rf"[^\s{{}}\x00-\x1f\x7f]{{1,{CHANNEL_MAX_LENGTH}}}")

USER_PREFIX = "user-"

MayRead = Callable[[Any, str], bool]
_owners: dict[str, MayRead] = {}


def register(prefix: str, may_read: MayRead) -> None:
    """
    Register the channels that begin with ``prefix``; call it in an app's ``ready()``.

    ``may_read(user, rest)`` decides whether a user may read the channel ``prefix + rest``. The
    user may be anonymous, and ``rest`` is whatever a request asked for.
    """
    _owners[prefix] = may_read


def may_read(user: Any, channel: str) -> bool:
    """Whether ``user`` may read ``channel``. Nobody may, unless its owner says so."""
    owned = [prefix for prefix in _owners if channel.startswith(prefix)]
    if not owned:
        return False
    prefix = max(owned, key=len)
    return _owners[prefix](user, channel[len(prefix) :])


def user_channel(user: Any) -> str:
    """Return the name of a user's own channel; ``user`` is a user or its primary key."""
    return f"{USER_PREFIX}{getattr(user, 'pk', user)}"


def may_read_user_channel(user: Any, pk: str) -> bool:
    """A user's channel is read by that user alone, and only while the account is active."""
    return bool(
        user is not None and user.is_authenticated and user.is_active and str(user.pk) == pk
    )


def check_channel(channel: str) -> None:
    """Raise ``InvalidChannel`` unless ``channel`` can be the name of one."""
    if not isinstance(channel, str) or not _CHANNEL.fullmatch(channel):
        raise InvalidChannel(
            f"A channel's name is 1 to {CHANNEL_MAX_LENGTH} characters without white space or "
            f"braces, like 'user-42'; this is {channel!r}."
        )
