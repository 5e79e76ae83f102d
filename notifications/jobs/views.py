"""
Pages of one's own jobs, and of all jobs for staff who may view them.

Somebody else's job is not found.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Case, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from kombu.exceptions import OperationalError

from .. import sse, storage
from ..exceptions import RedisUnavailable
from ..pages import live_page, no_cursor
from .control import cancel, may_control, retry
from .exceptions import NotPossible
from .live import Log, read_log, with_latest
from .models import CHANNEL_PREFIX, FINISHED, LARGE, Job, State
from .preview import preview

PAGE_LENGTH = 25
SEARCH_MAX_LENGTH = 200
PARENT_LARGE = tuple(f"parent__{name}" for name in LARGE)


@require_safe
@login_required
@live_page
def job_list(request: HttpRequest) -> HttpResponse:
    """
    The jobs of the user: those that run first, then by time.

    ``?state=`` leaves one state, ``?q=`` the titles with all of these words.
    """
    state = request.GET.get("state", "")
    if state not in State.values:
        state = ""
    q = request.GET.get("q", "").replace("\0", "").strip()[:SEARCH_MAX_LENGTH]
    jobs = Job.objects.filter(owner_id=request.user.pk, parent=None).defer(*LARGE)
    if state:
        jobs = jobs.filter(state=state)
    for word in q.split():
        jobs = jobs.filter(title__icontains=word)
    page = Paginator(_running_first(jobs), PAGE_LENGTH).get_page(request.GET.get("page"))
    page.object_list = with_latest(page.object_list, request.user)
    context = {
        "page": page,
        "states": State.choices,
        "state": state,
        "q": q,
        "is_filtered": bool(state or q),
    }
    return render(request, "jobs/list.html", context)


def _running_first(jobs: QuerySet[Job]) -> QuerySet[Job]:
    running = When(state__in=(State.RUNNING, State.RETRYING), then=Value(0))
    return jobs.order_by(Case(running, default=Value(1)), "-created", "-id")


@require_safe
@login_required
@live_page
def job_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """
    One job: its progress, its parts and its log; then its result.

    ``?parts=failed`` leaves the parts that ended without success.
    """
    log = _follow(request, _job_for(request, pk))
    # Read anew, after the cursors: what is said from there on, the stream brings.
    whole = Job.objects.select_related("owner", "parent")
    job = get_object_or_404(whole.defer("arguments", *PARENT_LARGE), pk=pk)
    [job] = with_latest([job], job.owner_id)
    members = None
    without_success = job.members_failed > 0 and request.GET.get("parts") == "failed"
    if job.is_group:
        parts = job.members.defer(*LARGE).order_by("place", "created", "id")
        if without_success:
            parts = parts.filter(state__in=FINISHED - {State.SUCCEEDED})
        members = Paginator(parts, PAGE_LENGTH).get_page(request.GET.get("page"))
    is_owner = job.owner_id is not None and job.owner_id == request.user.pk
    context = {
        "job": job,
        "is_owner": is_owner,
        # Of its progress the stream of this page tells nothing.
        "is_unheard": not job.is_finished and (not is_owner or job.parent_id is not None),
        "may_act": may_control(request.user, job),
        "may_see_traceback": _is_staff(request.user, "jobs.view_job"),
        "log": log,
        "members": members,
        "members_open": "page" in request.GET,
        "without_success": without_success,
        "preview": None if job.result is None or job.result_template else preview(job.result),
    }
    return render(request, "jobs/detail.html", context)


def _follow(request: HttpRequest, job: Job) -> Log:
    """
    Read the job's log, and widen the page's stream to go on where that ends.

    A part of a group says its state on the group's channel.
    """
    live = request.live  # type: ignore[attr-defined]
    channels = [job.channel]
    if job.parent_id is not None:
        channels.append(f"{CHANNEL_PREFIX}{job.parent_id}")
    try:
        cursor, available = sse.format_cursor(storage.cursors(channels)), live.available
    except RedisUnavailable:
        cursor, available = no_cursor(channels), False
    log = read_log(job)
    request.live = replace(  # type: ignore[attr-defined]
        live, cursor=f"{live.cursor},{cursor}", available=available
    )
    return log


@require_safe
@login_required
def job_result(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The result of a job as a JSON file."""
    job = _job_for(request, pk)
    if job.result is None:
        raise Http404(_("This job has no result."))
    response = JsonResponse(
        job.result, safe=False, json_dumps_params={"indent": 2, "ensure_ascii": False}
    )
    disposition = content_disposition_header(True, f"{job.title}.json")
    response.headers["Content-Disposition"] = disposition or "attachment"
    return response


@require_POST
@login_required
def job_cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask a job to end; leads back to it. One that has ended already stays as it is."""
    return _act(request, pk, cancel)


@require_POST
@login_required
def job_retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Start a job anew with the same arguments, and lead to the new run."""
    return _act(request, pk, retry)


def _act(request: HttpRequest, pk: UUID, act: Callable[..., Any]) -> HttpResponse:
    job = _job_for(request, pk)
    try:
        done = act(job, by=request.user)
    except NotPossible as error:
        messages.warning(request, str(error))
        done = None
    except OperationalError:
        messages.error(request, _("That can't be done just now. Try again in a moment."))
        done = None
    response = redirect(done if isinstance(done, Job) else job)
    response.status_code = 303
    return response


def _job_for(request: HttpRequest, pk: UUID) -> Job:
    """Return a job that the user may see. Raises ``Http404``."""
    job = get_object_or_404(Job.objects.defer(*LARGE), pk=pk)
    if job.owner_id is not None and job.owner_id == request.user.pk:
        return job
    if not _is_staff(request.user, "jobs.view_job"):
        raise Http404
    return job


def _is_staff(user: Any, permission: str) -> bool:
    return bool(user.is_staff and user.has_perm(permission))
