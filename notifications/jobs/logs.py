"""
Log lines of a job: what a person may read along while it runs, and the last of it afterwards.
"""

from collections import deque
from collections.abc import Iterable
from threading import Lock
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext as _

from .running import current_reporter
from .storable import clean

LINE_MAX_LENGTH: Final = 1000  # characters
TAIL_LINES: Final = 1000  # that are kept with the job
LIVE_LINES: Final = 200  # that are sent at once, ten times a second; who writes more is skipped

LEVELS: Final = ("debug", "info", "warning", "error")


def log(text: object, level: str = "info") -> None:
    """
    Write a line that the owner of the running job reads on its page; outside a job, nothing.

    ``level`` is debug, info, warning or error. A line longer than 1,000 characters is cut, and
    says so. With the job the last 1,000 lines are kept, and the number of all.
    """
    reporter = current_reporter()
    if reporter is not None:
        reporter.log(text, level)


class Lines:
    """
    The lines of one job, numbered from 1 over all of its attempts; safe in threads.

    A line is ``{"n": 17, "at": "2031-05-04T10:20:30.123Z", "level": "info", "text": "…"}``.
    """

    def __init__(self, count: int = 0, tail: Iterable[dict[str, Any]] = ()) -> None:
        self.count = count
        self._tail = deque(tail, TAIL_LINES)
        self._unsaid: deque[dict[str, Any]] = deque(maxlen=LIVE_LINES)
        self._lock = Lock()

    def add(self, text: object, level: str) -> None:
        line = _cut(text)
        moment = timezone.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        level = level if level in LEVELS else "info"
        with self._lock:
            self.count += 1
            entry = {"n": self.count, "at": moment, "level": level, "text": line}
            self._tail.append(entry)
            self._unsaid.append(entry)

    @property
    def waiting(self) -> bool:
        """Whether there are lines that have not been sent."""
        return bool(self._unsaid)

    def take(self) -> list[dict[str, Any]]:
        """Hand out the lines to send; of very many, the last."""
        with self._lock:
            taken = list(self._unsaid)
            self._unsaid.clear()
        return taken

    def put_back(self, taken: list[dict[str, Any]]) -> None:
        """Keep lines for the next time that could not be sent."""
        with self._lock:
            self._unsaid = deque([*taken, *self._unsaid], LIVE_LINES)

    def tail(self) -> list[dict[str, Any]]:
        """Return the last lines, for the row."""
        with self._lock:
            return list(self._tail)


def _cut(text: object) -> str:
    whole = str(text)
    if len(whole) <= LINE_MAX_LENGTH:
        return str(clean(whole))
    note = _("… (cut; %(length)s characters in all)") % {"length": f"{len(whole):,}"}
    return str(clean(whole[: LINE_MAX_LENGTH - len(note)])) + note
