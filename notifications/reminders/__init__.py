"""
Reminders: what a person writes for others, delivered to each of them and kept until read.

    from notifications.reminders import deliver, mark_read

The functions load on first use: Django imports this package before models may be imported.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .delivery import deliver, mark_read

__all__ = ["deliver", "mark_read"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import delivery

        return getattr(delivery, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
