"""
Pages of one's own jobs. Somebody else's job is not found.
"""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from ..pages import live_page
from .live import with_latest
from .models import Job

PAGE_LENGTH = 25


@require_safe
@login_required
@live_page
def job_list(request: HttpRequest) -> HttpResponse:
    """The jobs of the user, newest first."""
    jobs = Job.objects.filter(owner_id=request.user.pk).defer("result")
    page = Paginator(jobs, PAGE_LENGTH).get_page(request.GET.get("page"))
    page.object_list = with_latest(page.object_list, request.user)
    return render(request, "jobs/list.html", {"page": page})


@require_safe
@login_required
@live_page
def job_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One job: its progress, then its result."""
    job = get_object_or_404(Job, pk=pk, owner_id=request.user.pk)
    [job] = with_latest([job], request.user)
    return render(request, "jobs/detail.html", {"job": job, "result": job.result})


@require_safe
@login_required
def job_result(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The result of a job as a JSON file."""
    job = get_object_or_404(Job, pk=pk, owner_id=request.user.pk)
    if job.result is None:
        raise Http404(_("This job has no result."))
    response = JsonResponse(
        job.result, safe=False, json_dumps_params={"indent": 2, "ensure_ascii": False}
    )
    disposition = content_disposition_header(True, f"{job.title}.json")
    response.headers["Content-Disposition"] = disposition or "attachment"
    return response
