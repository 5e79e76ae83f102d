"""
Publishing: the way from a task, a view or the admin into Redis.

    publish("user-42", "greeting", {"text": "Hello"})            a log message: it must arrive
    publish("user-42", "tick", {"done": 3}, key="job-7")          a latest value: the newest counts
    publish("user-42", "done", {"ok": True}, clear="job-7")       a log message that ends a value
"""

import logging
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.db import transaction

from . import resets, storage
from .channels import check_channel
from .exceptions import InvalidMessage, PublishFailed
from .messages import Draft, check_message, encode_data

Item = tuple[str, str, str, str, str]  # as storage takes them: channel, type, text, key, clear

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


def publish_many(drafts: Iterable[Draft]) -> list[int]:
    """
    Publish many messages in few round trips, in order; return their ids.

    All are checked before the first is sent. Each is atomic, the whole is not: where
    ``PublishFailed`` is raised, some may have been published, from the first on.
    """
    return storage.append_many([_item(draft) for draft in drafts])


def publish_many_on_commit(drafts: Iterable[Draft], *, using: str | None = None) -> None:
    """Publish as ``publish_many`` does, at the time and with the care of ``publish_on_commit``."""
    items = [_item(draft) for draft in drafts]
    transaction.on_commit(partial(_publish_committed, items), using=using)


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
    After the commit nothing is raised. Where Redis does not confirm, that is logged as an error,
    and the channel's streams are reset as soon as Redis takes messages again: the row is in their
    snapshot.
    """
    publish_many_on_commit([Draft(channel, type, data, key, clear)], using=using)


def _publish_committed(items: list[Item]) -> None:
    try:
        if len(items) == 1:
            storage.append(*items[0])
        else:
            storage.append_many(items)
    except PublishFailed as error:
        logger.error("What a committed change has to say was not published. %s", error)
        resets.owe(channel for channel, *_ in items)


def _item(draft: Draft) -> Item:
    text = encode_data(draft.data)
    _check(draft.channel, draft.type, text, draft.key, draft.clear)
    return draft.channel, draft.type, text, draft.key or "", draft.clear or ""


def _check(channel: str, type: str, text: str, key: str | None, clear: str | None) -> None:
    check_channel(channel)
    check_message(type, text, key or "")
    if key is not None and not key:
        raise InvalidMessage(
            "The key of a latest value can't be empty. Leave it out for a log message."
        )
    if key and clear:
        raise InvalidMessage("A latest value replaces its own key; `clear` goes with log messages.")
