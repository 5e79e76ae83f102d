"""Beat's thread for reminders: what is due, what ends by itself, and what is old."""

import logging
import threading
from time import monotonic
from typing import Any, Final

from celery.signals import beat_init
from django.core.checks import ERROR
from django.db import DatabaseError, connections
from django.utils import timezone

from ..checks import check_settings
from ..conf import conf
from ..exceptions import RedisUnavailable
from . import reading, report, retention, schedule

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 2  # after an error, most often a database that is away
LOOK_OVER_SECONDS: Final = 60
PRUNE_SECONDS: Final = 60 * 60


def connect() -> None:
    """Let beat look after reminders; called once, from the app's config."""
    beat_init.connect(_begin, dispatch_uid="carillon.reminders", weak=False)


def _begin(**kwargs: Any) -> None:
    # Celery's beat runs no checks, and what is pruned by a wrong setting is gone.
    wrong = [found for found in check_settings(None) if found.level >= ERROR]
    if wrong:
        for found in wrong:
            logger.error("No reminders are sent by this beat: %s", found.msg)
        return
    threading.Thread(target=_run, name="reminders", daemon=True).start()


def _run() -> None:
    pause = threading.Event()
    rounds = Rounds()
    while True:
        seconds = conf.reminder_beat_seconds
        try:
            if rounds.round():
                continue
        except DatabaseError as error:
            logger.warning("Reminders could not be looked after: %s", error)
            seconds = RETRY_SECONDS
        except Exception:
            logger.exception("Reminders could not be looked after")
            seconds = RETRY_SECONDS
        if seconds == RETRY_SECONDS:
            connections.close_all()
        pause.wait(seconds)


class Rounds:
    """What one round does; what is done now and then goes by a clock that is never put back."""

    def __init__(self) -> None:
        self._look_over_at = self._prune_at = monotonic()
        self._looked_over = 0  # up to this primary key
        self._is_redis_away = False  # which is said once

    def round(self) -> bool:
        """Do what there is to do; return whether there is more to do at once."""
        now = timezone.now()
        busy = schedule.send_due(now) > 0
        busy |= reading.wake(now) > 0
        busy |= reading.expire(now) > 0
        self._tell_reports()
        if busy:
            return True
        if monotonic() >= self._look_over_at:
            # A part in each round, at the pace of rounds.
            self._looked_over = schedule.look_over(now, self._looked_over)
            if not self._looked_over:
                self._look_over_at = monotonic() + LOOK_OVER_SECONDS
        if monotonic() < self._prune_at:
            return False
        if not retention.prune(now):
            self._prune_at = monotonic() + PRUNE_SECONDS
        return True

    def _tell_reports(self) -> None:
        try:
            report.flush()
            self._is_redis_away = False
        except RedisUnavailable as error:
            if not self._is_redis_away:
                logger.warning("%s", error)
            self._is_redis_away = True
