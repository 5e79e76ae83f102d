"""
Reminders: what a person or a task says to others, delivered to each of them and kept until read.

    from notifications.reminders import remind
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import remind
    from .delivery import deliver
    from .reading import mark_read

__all__ = ["deliver", "mark_read", "remind"]

# No module here may have the name of one of these: importing it would put it in its place.
_HOMES = {"deliver": ".delivery", "mark_read": ".reading", "remind": ".api"}


def __getattr__(name: str) -> Any:
    # They need models, which Django allows only after this package has been imported as an app.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
