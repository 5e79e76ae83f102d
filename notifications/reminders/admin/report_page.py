"""The report on a reminder's page in the admin, and how the page follows it."""

from datetime import timedelta
from typing import Any, Final

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from ... import sse, storage
from ...channels import user_channel
from ...exceptions import RedisUnavailable
from ...jobs.models import Job
from ...pages import Live, no_cursor
from .. import audience, report, retention
from ..models import Delivery, Reminder
from .forms import EDITABLE, is_repeating

OPEN_NAMES: Final = 20  # of those who have not acknowledged
REPEATS: Final = 20  # the newest that were sent to only those


def context(page: Any, request: HttpRequest, reminder: Any) -> dict[str, Any]:
    """
    Return what the templates show of ``reminder`` to this user, on the ``page`` of the admin.

    However many people have it: as many queries, ``OPEN_NAMES`` names and ``REPEATS`` repeats.
    """
    # Before the report is counted, so that the page's stream leaves no gap.
    request.live = _follow(request.user, reminder)  # type: ignore[attr-defined]
    found = report.current(reminder)
    may_see_who = request.user.has_perm("reminders.view_delivery")
    missing = report.not_acknowledged(reminder) if reminder.acknowledge else None
    job = Job.objects.filter(pk=reminder.job).first() if reminder.job else None
    may_see_job = job is not None and (
        job.owner_id == request.user.pk or request.user.has_perm("jobs.view_job")
    )
    active = (Reminder.State.SCHEDULED, Reminder.State.SENDING)
    may_change = page.has_change_permission(request, reminder)
    first = reminder.repeat_of or reminder
    owners = Delivery.objects.filter(reminder=reminder).order_by().values("user")
    days = retention.kept_days()
    return {
        "first": reminder.repeat_of,
        "repeats": first.repeated.order_by("-pk")[:REPEATS],
        "newest_repeat": newest_repeat(first),
        "owners_count": owners.distinct().count() if is_repeating(reminder) else 0,
        "report": found,
        "has_report": found["addressed"] or reminder.state not in EDITABLE,
        "missing_count": missing.count() if missing is not None else 0,
        "missing_names": (
            audience.names_of(missing, OPEN_NAMES) if missing is not None and may_see_who else []
        ),
        "may_remind_again": page.has_add_permission(request) and page.may_send(request, reminder),
        "may_export": may_see_who,
        "may_duplicate": page.has_add_permission(request),
        "may_cancel": may_change and reminder.state in active,
        "job": job if may_see_job else None,
        "removed_after": days if reminder.created < timezone.now() - timedelta(days=days) else 0,
    }


def newest_repeat(first: Reminder) -> int:
    """Return the key of the newest reminder that repeats ``first``; 0 where none does."""
    return first.repeated.order_by("-pk").values_list("pk", flat=True).first() or 0


def _follow(user: Any, reminder: Reminder) -> Live:
    """Return what the page needs to follow the reminder's report, and its user's jobs."""
    channels = [user_channel(user)]
    if report.may_read(user, str(reminder.pk)):  # else the whole stream would be refused
        channels.append(report.channel_of(reminder))
    try:
        cursor, available = sse.format_cursor(storage.cursors(channels)), True
    except RedisUnavailable:
        cursor, available = no_cursor(channels), False
    return Live(reverse("notifications:events"), cursor, available)
