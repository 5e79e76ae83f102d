"""
The tracker: a task that does nothing but say how far it is, in each of the ways to say it.

Run by ``Worker``; the environment says where Redis is. Answers are nanoseconds for one iteration
or call, what a bare loop takes taken off.
"""

import io
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
django.setup()

from celery import Celery  # noqa: E402

from notifications import storage  # noqa: E402
from notifications.jobs import Progress, track  # noqa: E402
from notifications.jobs.models import Job  # noqa: E402
from notifications.jobs.reporter import begin, end  # noqa: E402

try:
    from tqdm import tqdm
except ImportError:
    tqdm = None

try:
    from celery_progress.backend import ProgressRecorder
except ImportError:
    ProgressRecorder = None


def loop(way: str, items: int) -> float | None:
    """An iteration of a loop that does nothing."""
    numbers = range(items)
    match way:
        case "track":
            with _job():
                spent = _spent(track(numbers, "Counting", unit="rows"))
        case "tqdm" if tqdm is not None:
            spent = _spent(tqdm(numbers, "Counting", unit="rows", file=_Terminal()))
        case _:
            return None
    return (spent - _spent(numbers)) / items


def count(way: str, calls: int) -> float | None:
    """A call that says the count."""
    match way:
        case "set":
            with _job():
                return _cost(Progress(calls + 1).set, calls)
        case "tqdm" if tqdm is not None:
            with tqdm(total=calls, file=_Terminal()) as bar:
                return _cost(lambda number: bar.update(), calls)
        case "celery-progress" if ProgressRecorder is not None:
            app = Celery("bench", backend=os.environ["REDIS_URL"].replace("unix:", "redis+socket:"))
            task = app.task(_nothing)
            task.push_request(id=str(uuid4()), called_directly=False)
            recorder = ProgressRecorder(task)
            return _cost(lambda number: recorder.set_progress(number, calls), calls)
        case _:
            return None


def publishes(seconds: float) -> float:
    """How often a second a task that only counts sends something to Redis, once it has begun."""
    sent: list[float] = []
    original = storage.append_many

    def counting(items: Any) -> Any:
        sent.append(time.monotonic())
        return original(items)

    storage.append_many = counting
    try:
        with _job():
            counted, started = Progress(10**9), time.monotonic()
            while time.monotonic() - started < seconds:
                counted.update()
    finally:
        storage.append_many = original
    return (len(sent) - 1) / (sent[-1] - sent[0])


def _nothing() -> None:
    pass


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def _job() -> Iterator[None]:
    reporter = begin(Job(title="Counting", owner_id=1))
    reporter._next_save = math.inf  # there is no database here
    try:
        yield
    finally:
        end()


def _spent(iterable: Any) -> int:
    started = time.perf_counter_ns()
    for _ in iterable:
        pass
    return time.perf_counter_ns() - started


def _cost(call: Callable[[int], Any], calls: int) -> float:
    numbers = range(1, calls + 1)
    started = time.perf_counter_ns()
    for number in numbers:
        call(number)
    return (time.perf_counter_ns() - started - _spent(numbers)) / calls


COMMANDS: dict[str, Callable[..., Any]] = {"loop": loop, "count": count, "publishes": publishes}


def main() -> None:
    for line in sys.stdin:
        command, arguments = json.loads(line)
        print(json.dumps(COMMANDS[command](**arguments)), flush=True)


if __name__ == "__main__":
    main()
