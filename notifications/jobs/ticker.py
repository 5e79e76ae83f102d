"""
One thread per process that says what a job itself has no occasion to say.

A job speaks when it counts, and not more than ten times a second. What it counted just after it
spoke, before it went into a long query, is said by this thread, which looks at all jobs of the
process ten times a second. It runs only while there are jobs.
"""

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Final

from django.db import connections

if TYPE_CHECKING:
    from .reporter import Reporter

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.1
LINGER_TICKS: Final = 20  # without a job, before the thread ends: starting one for each costs time


class Ticker:
    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._reporters: set[Reporter] = set()
        self._thread: threading.Thread | None = None

    def add(self, reporter: "Reporter") -> None:
        with self._lock:
            self._reporters.add(reporter)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
                self._thread.start()

    def remove(self, reporter: "Reporter") -> None:
        with self._lock:
            self._reporters.discard(reporter)

    def _run(self) -> None:
        idle = 0
        while True:
            time.sleep(TICK_SECONDS)
            with self._lock:
                reporters = tuple(self._reporters)
                idle = 0 if reporters else idle + 1
                if idle > LINGER_TICKS:
                    self._thread = None
                    return
            for reporter in reporters:
                try:
                    reporter.tick()
                except Exception:
                    logger.exception("What job %s has to say was not said", reporter.job.pk)
            connections.close_all()  # this thread's, where a group had to be looked up


ticker = Ticker()

# A child has none of its parent's threads, and perhaps a lock that one of them held.
os.register_at_fork(after_in_child=ticker.reset)
