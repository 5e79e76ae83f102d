"""
Signs of life: a worker says every few seconds which jobs it has.

One thread in the worker's main process does it for all that the worker runs, or holds until they
may run, in every kind of pool. It goes on while tasks finish after a stop was asked for.
"""

import logging
import threading
from typing import Any

from celery.signals import worker_ready
from celery.worker import state

from ..conf import conf
from ..exceptions import RedisUnavailable
from . import signs

logger = logging.getLogger(__name__)


def connect() -> None:
    """Let each worker that gets ready give signs of life; called once, from the app's config."""
    worker_ready.connect(_begin, dispatch_uid="carillon.heartbeat", weak=False)


def _begin(**kwargs: Any) -> None:
    threading.Thread(target=_beat, name="jobs-heartbeat", daemon=True).start()


def _beat() -> None:
    pause = threading.Event()
    silent = False
    while True:
        try:
            if ids := held():
                signs.report(ids)
            if silent:
                logger.info("Redis takes signs of life again")
            silent = False
        except RedisUnavailable as error:
            if not silent:
                logger.warning("%s", error)
            silent = True
        except Exception:
            logger.exception("No sign of life was given")
        pause.wait(conf.job_heartbeat_seconds)


def held() -> list[str]:
    """Return the ids of the jobs that this worker runs, has reserved, or holds for their time."""
    from .tasks import TrackedTask

    for _attempt in range(10):
        try:
            requests = {
                *state.requests.values(),
                # Of a message that came twice, `requests` forgets both when the first is through.
                *state.reserved_requests,
                *getattr(state, "scheduled_requests", ()),
            }
        except RuntimeError:  # the main thread has just changed one of them
            continue
        return list({str(held.id) for held in requests if isinstance(held.task, TrackedTask)})
    return []
