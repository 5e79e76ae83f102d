"""Tasks that end in every way in which a task can."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from celery import shared_task
from celery.exceptions import Ignore, Reject
from django.conf import settings

from notifications.jobs import JobCancelled, Progress, TrackedTask, current_job, log, step, track


def mark(text: str) -> None:
    """Leave a line that a test can read."""
    with marks(settings.VAR_DIR).open("a") as file:
        file.write(f"{text}\n")


def marks(var_dir: Path) -> Path:
    return var_dir / "marks"


def first_time(name: str) -> bool:
    """Whether nobody has asked for this name before."""
    try:
        (settings.VAR_DIR / f"once-{name}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@shared_task(base=TrackedTask)
def give(value: Any) -> Any:
    return value


@shared_task(base=TrackedTask, retryable=True)
def fail(reason: str = "no such file") -> None:
    if (settings.VAR_DIR / "mended").exists():
        return
    log("about to fail")
    raise ValueError(reason)


@shared_task(base=TrackedTask, bind=True, max_retries=3)
def retry_twice(self: Any, wait: float = 1.0) -> str:
    if self.request.retries < 2:
        raise self.retry(countdown=wait, exc=ValueError("not yet"))
    return "at last"


@shared_task(
    base=TrackedTask,
    autoretry_for=(OSError,),
    max_retries=1,
    default_retry_delay=0.2,
)
def retry_by_itself() -> None:
    raise OSError("no route")


@shared_task(base=TrackedTask, bind=True)
def reject(self: Any, requeue: bool = False) -> str:
    if requeue and not first_time(self.request.id):
        return "taken again"
    raise Reject("not for me", requeue=requeue)


@shared_task(base=TrackedTask)
def ignore() -> None:
    raise Ignore("nothing to do")


@shared_task(base=TrackedTask, soft_time_limit=1)
def pass_the_soft_limit() -> None:
    time.sleep(30)


@shared_task(base=TrackedTask, time_limit=1)
def pass_the_hard_limit() -> None:
    log("about to be killed")
    Progress(10, message="Counting").set(4)
    time.sleep(30)


@shared_task(base=TrackedTask, retryable=True)
def count(steps: int = 1200, pause: float = 0.05) -> int:
    """Count for a minute; clean up where it is cancelled."""
    progress = Progress(steps, message="Counting")
    try:
        for _ in range(steps):
            time.sleep(pause)
            progress.update()
    except JobCancelled:
        mark(f"cleaned up {current_job()}")
        raise
    return steps


@shared_task(base=TrackedTask, bind=True)
def run_twice(self: Any, first: float, second: float) -> str:
    """Fail the first time, after so many seconds; succeed the second time."""
    is_first = first_time(self.request.id)
    for _ in track(range(int(10 * (first if is_first else second)))):
        time.sleep(0.1)
    if is_first:
        raise ValueError("the first")
    return "the second"


@shared_task(base=TrackedTask)
def be_stubborn(seconds: float = 60) -> None:
    """Report nothing, and so never hear of a wish to cancel."""
    mark(f"stubborn in {os.getpid()}")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.1)


@shared_task(base=TrackedTask, bind=True, acks_late=True, reject_on_worker_lost=True)
def die_once(self: Any) -> str:
    if first_time(self.request.id):
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(30)
    return "survived"


@shared_task(base=TrackedTask, acks_late=True, reject_on_worker_lost=True)
def die_always() -> None:
    sys.exit("as a management command does")


@shared_task(base=TrackedTask, acks_late=False)
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(30)


@shared_task(base=TrackedTask)
def give_no_json() -> object:
    return {1, 2}


@shared_task(base=TrackedTask)
def give_much(megabytes: int = 10) -> str:
    return "x" * (megabytes * 1024 * 1024)


@shared_task(base=TrackedTask)
def part(number: int, pause: float = 0.0, fails: bool = False) -> int:
    progress = Progress(10)
    for _ in range(10):
        time.sleep(pause)
        progress.update()
    if fails:
        raise ValueError(f"part {number}")
    return number


@shared_task(base=TrackedTask)
def add(numbers: list[int]) -> int:
    return sum(numbers)


@shared_task(base=TrackedTask)
def double(number: int) -> int:
    return 2 * number


@shared_task(base=TrackedTask, bind=True)
def become_another(self: Any, number: int, queue: str) -> Any:
    return self.replace(double.s(number).set(queue=queue))


@shared_task(base=TrackedTask)
def fall_silent(seconds: float) -> None:
    """Say much within a moment, and nothing more."""
    with step("Working"):
        for number in track(range(1000), "Counting", unit="rows"):
            log(f"row {number}")
            if number == 900:
                time.sleep(seconds)
