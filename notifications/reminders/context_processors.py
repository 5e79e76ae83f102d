"""What every page says about the reminders of its user."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from .models import Delivery, Reminder
from .preferences import preference_of

UNREAD_IDS_MAX = 100
URGENT_MAX = 3  # that stay from page to page: more would hide what is beneath


def unread(request: HttpRequest) -> dict[str, Callable[[], Any]]:
    """
    Offer ``unread_ids`` (of the newest ``UNREAD_IDS_MAX``) and ``unread_count`` to templates,
    ``urgent`` (the newest ``URGENT_MAX`` unread deliveries of that level, newest last), and for
    browser notifications ``notify_levels`` and ``quiet_hours`` ("22:00-07:00", or "").

    All are functions, which templates call when they meet them: a page that uses none makes no
    query and does not even load its user. One query serves the first two, and a second where there
    are more unread than ids; ``urgent`` takes one where anything is unread, the rest one together.
    Anonymous: nothing and 0, without a query. What is snoozed or has expired does not count.
    """

    @cache
    def unread_ids() -> list[int]:
        return list(_unread(request).values_list("pk", flat=True)[:UNREAD_IDS_MAX])

    @cache
    def unread_count() -> int:
        known = len(unread_ids())
        return known if known < UNREAD_IDS_MAX else _unread(request).count()

    def urgent() -> list[Delivery]:
        if not unread_ids():
            return []
        # Of the newest only: their number bounds what is joined.
        deliveries = _unread(request).filter(pk__in=unread_ids())
        deliveries = deliveries.filter(reminder__level=Reminder.Level.URGENT)
        newest: list[Delivery] = list(deliveries.select_related("reminder")[:URGENT_MAX])
        return newest[::-1]

    @cache
    def preference() -> Any:
        return preference_of(request.user) if _is_known(request) else None

    def notify_levels() -> list[str]:
        chosen = preference()
        levels: list[str] = Reminder.Level.values
        return levels[levels.index(chosen.notify_from_level) :] if _level(chosen) else []

    def quiet_hours() -> str:
        chosen = preference()
        if chosen is None or chosen.quiet_from is None or chosen.quiet_to is None:
            return ""
        return f"{chosen.quiet_from:%H:%M}-{chosen.quiet_to:%H:%M}"

    return {
        "unread_ids": unread_ids,
        "unread_count": unread_count,
        "urgent": urgent,
        "notify_levels": notify_levels,
        "quiet_hours": quiet_hours,
    }


def _unread(request: HttpRequest) -> Any:
    if not _is_known(request):
        return Delivery.objects.none()
    return Delivery.objects.of(request.user).unread().visible(timezone.now())


def _is_known(request: HttpRequest) -> bool:
    user = getattr(request, "user", None)
    return user is not None and user.is_authenticated


def _level(preference: Any) -> str:
    level: str = getattr(preference, "notify_from_level", "")
    return level if level in Reminder.Level.values else ""
