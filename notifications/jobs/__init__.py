"""
Jobs: Celery tasks whose progress somebody watches.

    from notifications.jobs import Progress, TrackedTask
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .progress import Progress
    from .tasks import TrackedTask

__all__ = ["Progress", "TrackedTask"]

_HOMES = {"Progress": ".progress", "TrackedTask": ".tasks"}


def __getattr__(name: str) -> Any:
    # Both need models, which Django allows only after this package has been imported as an app.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
