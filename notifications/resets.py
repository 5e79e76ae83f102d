"""
Resets that are owed: what was committed while Redis took nothing is told as soon as it does.

The messages themselves are not tried again, since a message whose answer got lost may have been
published. A reset may come twice: it has pages fetch their snapshot, and the rows are in it.
"""

import json
import logging
import math
import os
import threading
import time
from collections.abc import Iterable

from . import storage
from .exceptions import PublishFailed

logger = logging.getLogger(__name__)

RETRY_FIRST_SECONDS = 0.5
RETRY_LAST_SECONDS = 4.0  # a page is to be right within 5 s of Redis being back

MOMENT_SECONDS = 0.2  # from one step after a commit to the next

RESET_TYPE = "stream-reset"

_lock = threading.Lock()
_channels: set[str] = set()
_owed_at = -math.inf
_payer: tuple[int, threading.Thread] | None = None  # with its process: a fork has no threads


def owe(channels: Iterable[str]) -> None:
    """Reset the streams of ``channels`` once Redis takes messages; a process that ends forgets."""
    global _owed_at, _payer
    with _lock:
        _owed_at = time.monotonic()
        _channels.update(channels)
        if _payer is None or _payer[0] != os.getpid() or not _payer[1].is_alive():
            thread = threading.Thread(target=_pay, name="notifications-resets", daemon=True)
            _payer = (os.getpid(), thread)
            thread.start()


def just_owed() -> bool:
    """Whether Redis took nothing a moment ago, so that to try again would be to wait again."""
    return time.monotonic() - _owed_at < MOMENT_SECONDS


def _pay() -> None:
    delay = RETRY_FIRST_SECONDS
    while True:
        time.sleep(delay)
        with _lock:
            owed = sorted(_channels)
        try:
            storage.append_many(
                [(name, RESET_TYPE, json.dumps({"channels": [name]}), "", "") for name in owed]
            )
        except PublishFailed:
            delay = min(delay * 2, RETRY_LAST_SECONDS)
            continue
        logger.info("Redis takes messages again; %d channels were reset", len(owed))
        delay = RETRY_FIRST_SECONDS
        with _lock:
            _channels.difference_update(owed)
            if not _channels:
                return
