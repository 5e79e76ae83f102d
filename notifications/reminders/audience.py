"""
The audience of a reminder: whom it goes to, always as a queryset of active users.

A query and not a list: of a hundred thousand people only a batch is ever in memory, and whoever
was deactivated in the meantime is not among them.
"""

from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.utils import timezone

from . import recurrence, zones
from .models import Preference, Reminder

Users = QuerySet[Any]


def audience(reminder: Reminder) -> Users:
    """Return whom ``reminder``, which is saved, goes to if it is sent now."""
    return chosen(
        everyone=reminder.everyone,
        users=reminder.users.all(),
        groups=reminder.groups.all(),
        active_since=reminder.filter_active_since,
        joined_before=reminder.filter_joined_before,
        staff=reminder.filter_staff,
    )


def chosen(
    *,
    everyone: bool = False,
    users: Any = (),
    groups: Any = (),
    active_since: date | None = None,
    joined_before: date | None = None,
    staff: bool = False,
) -> Users:
    """
    Return the active users among ``users``, the members of ``groups``, and those who match all of
    the filters that are given; or all active users. Without any of these: nobody.

    ``users`` and ``groups`` are querysets, objects or primary keys.
    """
    active = get_user_model()._default_manager.filter(is_active=True)
    if everyone:
        return active
    ways = []
    # One way alone is a join; several are an OR that is looked up for each user of the site.
    if _any(users):
        ways.append(Q(pk__in=_keys(users)))
    if _any(groups):
        members = get_user_model()._default_manager.filter(groups__in=_keys(groups))
        ways.append(Q(pk__in=members.order_by().values("pk")))
    filters = Q()
    if active_since is not None:
        filters &= Q(last_login__gte=_midnight(active_since))
    if joined_before is not None:
        filters &= Q(date_joined__lt=_midnight(joined_before))
    if staff:
        filters &= Q(is_staff=True)
    if filters:
        ways.append(filters)
    if not ways:
        return active.none()
    union = ways[0]
    for way in ways[1:]:
        union |= way
    return active.filter(union)


def due_in(users: Users, local: str, now: datetime, following: datetime | None = None) -> Users:
    """
    Return those of ``users`` on whose own clocks the local time ``local`` has passed, and the one
    ``following`` it, if there is one, has not.

    Whoever has no zone of their own, or one that is not known (any more), has the site's.
    """
    clock = recurrence.parse_local(local)

    def is_due(zone: str) -> bool:
        if recurrence.to_utc(clock, zone) > now:
            return False
        return following is None or recurrence.to_utc(following, zone) > now

    preferences = Preference.objects.exclude(time_zone="")
    names = preferences.order_by().values_list("time_zone", flat=True).distinct()
    site_is_due = is_due(settings.TIME_ZONE)
    # Those who differ from the site.
    others = [name for name in names if is_due(zones.resolve(name)) != site_is_due]
    theirs = preferences.filter(time_zone__in=others).values("user_id")
    return users.exclude(pk__in=theirs) if site_is_due else users.filter(pk__in=theirs)


def count(reminder: Reminder) -> int:
    return audience(reminder).count()


def names(reminder: Reminder, length: int = 10) -> list[str]:
    """Return the names of the first ``length`` people, in alphabetical order."""
    return names_of(audience(reminder), length)


def names_of(users: Users, length: int = 10) -> list[str]:
    by_name = users.order_by(get_user_model().USERNAME_FIELD)
    return [user.get_full_name() or user.get_username() for user in by_name[:length]]


def _any(choice: Any) -> bool:
    return choice.exists() if isinstance(choice, QuerySet) else bool(choice)


def _keys(choice: Any) -> Any:
    if isinstance(choice, QuerySet):
        return choice.values("pk") if choice.query.is_sliced else choice.order_by().values("pk")
    items: Iterable[Any] = choice
    return [getattr(item, "pk", item) for item in items]


def _midnight(day: date) -> datetime:
    """The moment at which ``day`` begins on the site's clocks."""
    return timezone.make_aware(datetime.combine(day, time.min))
