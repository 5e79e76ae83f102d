"""
Jobs: Celery tasks whose progress somebody watches.

    from notifications.jobs import TrackedTask, track
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .control import cancel, retry
    from .current import current_job
    from .exceptions import JobCancelled
    from .groups import start_group
    from .logs import log
    from .phases import step, steps
    from .progress import Progress
    from .tasks import TrackedTask
    from .tracking import track

__all__ = [
    "JobCancelled",
    "Progress",
    "TrackedTask",
    "cancel",
    "current_job",
    "log",
    "retry",
    "start_group",
    "step",
    "steps",
    "track",
]

# No module here may have the name of one of these: importing it would put it in its place.
_HOMES = {
    "JobCancelled": ".exceptions",
    "Progress": ".progress",
    "TrackedTask": ".tasks",
    "cancel": ".control",
    "current_job": ".current",
    "log": ".logs",
    "retry": ".control",
    "start_group": ".groups",
    "step": ".phases",
    "steps": ".phases",
    "track": ".tracking",
}


def __getattr__(name: str) -> Any:
    # Most need models, which Django allows only after this package has been imported as an app.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
