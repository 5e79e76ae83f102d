"""Where Celery looks for an app's tasks."""

from .sending import send_occurrence

__all__ = ["send_occurrence"]
