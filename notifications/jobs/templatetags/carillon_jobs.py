"""
Jobs in a site's templates::

    {% load carillon_jobs %}
    {% job_progress job %}

The first bar of a page brings the script with it. A bar that moves costs a call to Redis. Where the
view is not decorated with ``live_page`` the tag also reads each job anew, after the cursor, so that
nothing that happens in between is missed.
"""

import math
from datetime import timedelta
from typing import Any

from django import template
from django.utils.formats import number_format
from django.utils.timesince import timesince
from django.utils.timezone import now
from django.utils.translation import gettext as _

from ...pages import follow
from ..live import with_latest
from ..models import LARGE, Job

# What the script makes of a stream; a page may name more.
STREAM_TYPES = "job job-log member"

register = template.Library()


@register.inclusion_tag("jobs/_progress.html", takes_context=True)
def job_progress(context: dict[str, Any], job: Job) -> dict[str, Any]:
    """
    Render one job as a bar that moves by itself, with its title, state and figures.

    Its owner's page hears of it at once; anybody else's looks every 15 seconds.
    """
    request = context.get("request")
    user = getattr(request, "user", None)
    if user is not None and not hasattr(request, "live"):
        request.live = follow(user)  # type: ignore[union-attr]
        request.live_read_late = True  # type: ignore[union-attr]
    if hasattr(request, "live_read_late"):
        job = Job.objects.defer(*LARGE).filter(pk=job.pk).first() or job
    if getattr(request, "live", None) is not None and request.live.available:  # type: ignore[union-attr]
        [job] = with_latest([job], job.owner_id)
    is_owner = user is not None and job.owner_id is not None and job.owner_id == user.pk
    is_unheard = not job.is_finished and (not is_owner or job.parent_id is not None)
    return {"job": job, "is_unheard": is_unheard, **_scripts(context)}


@register.inclusion_tag("jobs/_scripts.html", takes_context=True)
def job_scripts(
    context: dict[str, Any], types: str = STREAM_TYPES, styles: bool = True
) -> dict[str, Any]:
    """
    Render the script and the words that live bars need; nothing where the page has them already.

    Only for a site that wants them at a place of its own: in its base template, above all bars.
    ``types`` are the messages that the page listens to; without ``styles`` the site brings its own.
    """
    return _scripts(context, types=types, styles=styles)


def _scripts(
    context: dict[str, Any], types: str = STREAM_TYPES, styles: bool = True
) -> dict[str, Any]:
    request = context.get("request")
    needed = not hasattr(request, "has_job_scripts")
    if request is not None:
        request.has_job_scripts = True
    return {
        "scripts": needed,
        "styles": styles,
        "types": types,
        "live": getattr(request, "live", None),
        "user": getattr(request, "user", None),
    }


@register.filter
def share(job: Job) -> float | None:
    """Return how much of a job is done, 0 to 1; None where nobody knows."""
    if job.fraction is not None and math.isfinite(job.fraction):
        return min(max(job.fraction, 0.0), 1.0)
    if job.total and job.total > 0:
        return min(max(job.current / job.total, 0.0), 1.0)
    return None


@register.filter
def percent(value: float | None) -> str:
    """Return a share as text, rounded down: 100 % is what is done."""
    return "" if value is None else f"{math.floor(value * 100)}%"


@register.filter
def short_time(duration: timedelta | None) -> str:
    """Return a duration as people say it: "under 0.1 s", "4.2 s", "2 hours, 5 minutes"."""
    if duration is None:
        return ""
    seconds = duration.total_seconds()
    if seconds < 0.1:
        return _("under 0.1 s")
    if seconds < 60:
        return _("%(n)s s") % {"n": number_format(seconds, 1)}
    end = now()
    return timesince(end - duration, end)
