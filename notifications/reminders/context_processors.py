"""What every page says about the reminders of its user."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.http import HttpRequest

from .models import Delivery

UNREAD_IDS_MAX = 100


def unread(request: HttpRequest) -> dict[str, Callable[[], Any]]:
    """
    Offer ``unread_ids`` (of the newest ``UNREAD_IDS_MAX``) and ``unread_count`` to templates.

    Both are functions, which templates call when they meet them: a page that uses neither makes
    no query and does not even load its user. One query serves both, and a second where there are
    more unread than ids. Anonymous: none and 0, without a query.
    """

    @cache
    def unread_ids() -> list[int]:
        return list(_of_user(request).values_list("pk", flat=True)[:UNREAD_IDS_MAX])

    @cache
    def unread_count() -> int:
        known = len(unread_ids())
        return known if known < UNREAD_IDS_MAX else _of_user(request).count()

    return {"unread_ids": unread_ids, "unread_count": unread_count}


def _of_user(request: HttpRequest) -> Any:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return Delivery.objects.none()
    return Delivery.objects.of(user).unread()
