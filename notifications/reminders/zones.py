"""Time zones of people: each has a preference, or that of the site."""

from typing import Any

from django.conf import settings

from . import recurrence
from .models import Preference


def resolve(name: str) -> str:
    """Return the zone that a preference stands for: the site's where it names none."""
    try:
        return recurrence.check_zone(name)
    except recurrence.InvalidZone:  # unknown, or gone with an update of the zones
        return settings.TIME_ZONE


def of_audience(users: Any) -> set[str]:
    """Return the zones in which ``users``, a queryset, read; the site's is always one."""
    names = Preference.objects.filter(user__in=users).order_by().values_list("time_zone", flat=True)
    return {settings.TIME_ZONE, *(resolve(name) for name in names.distinct())}
