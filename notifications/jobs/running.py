"""
Which job runs here: known to any function that a task calls, in every kind of pool.

A thread that the task itself starts does not inherit it; ``contextvars.copy_context().run`` does.
"""

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .reporter import Reporter

running: ContextVar["Reporter | None"] = ContextVar("carillon_reporter", default=None)


def current_reporter() -> "Reporter | None":
    """The reporter of the job that runs here; None outside one."""
    return running.get()
