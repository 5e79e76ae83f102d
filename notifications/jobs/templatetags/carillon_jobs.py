"""
Jobs in a site's templates::

    {% load carillon_jobs %}
    <html{% live_attributes %}>
    … {% job_scripts %} …
    {% job_progress job %}

The page is live where its view is decorated with ``live_page``; elsewhere it shows the job as it
stood when the page was rendered.
"""

import math
from datetime import timedelta
from typing import Any

from django import template
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.timezone import now
from django.utils.translation import gettext as _

from ..models import Job

# What job-progress.js listens to; a page may name more.
STREAM_TYPES = "job job-log member"

register = template.Library()


@register.inclusion_tag("jobs/_job.html")
def job_progress(job: Job) -> dict[str, Any]:
    """Render one job as a bar that moves by itself, with its title, state and figures."""
    return {"job": job}


@register.inclusion_tag("jobs/_scripts.html")
def job_scripts() -> dict[str, Any]:
    """Render the script and the words that live bars need; once, in a page's body."""
    return {}


@register.simple_tag(takes_context=True)
def live_attributes(context: dict[str, Any], types: str = STREAM_TYPES) -> SafeString:
    """Return the attributes of ``<html>`` that tell the script where the page's stream is."""
    request = context.get("request")
    live = getattr(request, "live", None)
    if live is None:
        return SafeString("")
    text = ' data-user="{}" data-stream-url="{}" data-cursor="{}" data-stream-types="{}"'
    return format_html(text, request.user.pk, live.url, live.cursor, types)  # type: ignore[union-attr]


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
