"""
Publishing: the way from a task, a view or the admin into Redis.

    publish("user-42", "greeting", {"text": "Hello"})            a log message: it must arrive
    publish("user-42", "tick", {"done": 3}, key="job-7")          a latest value: the newest counts
    publish("user-42", "done", {"ok": True}, clear="job-7")       a log message that ends a value
"""

import logging
from functools import partial
from typing import Any

from django.db import transaction

from . import storage
from .channels import check_channel
from .exceptions import InvalidMessage, PublishFailed
from .messages import check_message, encode_data

logger = logging.getLogger(__name__)


def publish(
    channel: str, type: str, data: Any, *, key: str | None = None, clear: str | None = None
) -> int:
    """
    Publish one message on ``channel`` and return its id, in one round trip to Redis.

    Without ``key`` it is a log message: it is kept for the retention and every stream of the
    channel gets it, in order and once, or is told by a reset that it may have missed something.
    With ``key`` it is a latest value: streams get the newest, and may pass over those between.
    ``clear`` on a log message removes the latest value of that key in the same step.

    Raises ``InvalidChannel``, ``InvalidMessage`` and ``MessageTooLarge`` for what can't be sent,
    and ``PublishFailed`` where Redis does not confirm in bounded time.
    """
    text = encode_data(data)
    return publish_text(channel, type, text, key=key, clear=clear)


def publish_text(
    channel: str, type: str, text: str, *, key: str | None = None, clear: str | None = None
) -> int:
    """Publish as ``publish`` does, with data that is text already."""
    _check(channel, type, text, key, clear)
    return storage.append(channel, type, text, key or "", clear or "")


def publish_on_commit(
    channel: str,
    type: str,
    data: Any,
    *,
    key: str | None = None,
    clear: str | None = None,
    using: str | None = None,
) -> None:
    """
    Publish after the current transaction commits, or at once outside one; never if it rolls back.

    ``data`` is checked and encoded now, so what can't be sent raises here, inside the transaction.
    After the commit nothing is raised: the row is saved, and pages find it in their next snapshot.
    Where Redis does not confirm, that is logged as an error.
    """
    text = encode_data(data)
    _check(channel, type, text, key, clear)
    send = partial(_publish_committed, channel, type, text, key or "", clear or "")
    transaction.on_commit(send, using=using)


def _publish_committed(channel: str, type: str, text: str, key: str, clear: str) -> None:
    try:
        storage.append(channel, type, text, key, clear)
    except PublishFailed as error:
        logger.error("A %r message of a committed change was not published. %s", type, error)


def _check(channel: str, type: str, text: str, key: str | None, clear: str | None) -> None:
    check_channel(channel)
    check_message(type, text, key or "")
    if key is not None and not key:
        raise InvalidMessage(
            "The key of a latest value can't be empty. Leave it out for a log message."
        )
    if key and clear:
        raise InvalidMessage("A latest value replaces its own key; `clear` goes with log messages.")
