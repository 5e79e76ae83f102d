"""Wait for a condition with a deadline, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def wait_until(
    condition: Callable[[], Result], seconds: float = 10.0, what: object = None
) -> Result:
    """Return the first true result of `condition`; fail with `what` (called, if it can be) when
    time is over.
    """
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            text = what() if callable(what) else what or getattr(condition, "__name__", condition)
            raise AssertionError(f"Not within {seconds} s: {text}")
        time.sleep(0.02)
