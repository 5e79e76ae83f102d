"""A draft that says the same to the same people."""

from typing import Any

from django.db import transaction

from ..models import Reminder

COPIED = (
    *("title", "text", "level", "link", "expires", "acknowledge", "local_at", "zone", "rule"),
    *("everyone", "filter_active_since", "filter_joined_before", "filter_staff"),
)


def duplicate(reminder: Reminder, by: Any) -> Reminder:
    """Return a copy of ``reminder``: a draft of ``by``, with its audience and its time."""
    with transaction.atomic():
        copied = Reminder.objects.create(
            created_by=by, **{name: getattr(reminder, name) for name in COPIED}
        )
        copied.users.set(reminder.users.all())
        copied.groups.set(reminder.groups.all())
    return copied
