"""
Which messages wait in the broker's queues: known where that is Redis.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from celery import current_app

PAGE_LENGTH: Final = 500
PAGES_MAX: Final = 40  # of one queue; behind that nobody looks


def waiting(ids: Iterable[UUID], queues: Iterable[str]) -> set[UUID] | None:
    """
    Return those of ``ids`` whose message waits in one of ``queues``.

    None where that can't be known: another broker, or more messages than can be looked through.
    They are read in the order in which they will be taken, and no further than needed.
    """
    wanted, found = set(ids), set[UUID]()
    with current_app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        if not hasattr(channel, "_q_for_pri"):  # not kombu's transport over Redis
            return None
        with channel.conn_or_acquire() as client:
            # kombu's client puts it before the keys of the commands that kombu itself uses.
            known = "LRANGE" in getattr(client, "PREFIXED_SIMPLE_COMMANDS", ())
            prefix = "" if known else channel.global_keyprefix
            for queue in queues:
                for priority in channel.priority_steps:
                    key = prefix + channel._q_for_pri(queue, priority)
                    for page in range(PAGES_MAX + 1):
                        if page == PAGES_MAX:
                            return None
                        first = -(page + 1) * PAGE_LENGTH
                        messages = client.lrange(key, first, first + PAGE_LENGTH - 1)
                        found |= wanted & {pk for pk in map(_id, messages) if pk}
                        if len(messages) < PAGE_LENGTH or found == wanted:
                            break
    return found


def _id(message: Any) -> UUID | None:
    with suppress(ValueError, KeyError, TypeError):
        return UUID(json.loads(message)["headers"]["id"])
    return None
