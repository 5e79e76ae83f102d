"""The home page: choose a file, see the newest jobs."""

import logging

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods
from kombu.exceptions import OperationalError

from notifications.jobs.live import with_latest
from notifications.jobs.models import LARGE, Job
from notifications.pages import live_page
from project.analysis import uploads
from project.analysis.forms import UploadForm
from project.analysis.tasks import analyse_file
from project.archive import tasks as archive_tasks
from project.archive.members import Member, TooMuch, members_of
from project.uploads import BODY_REFUSED

logger = logging.getLogger(__name__)

NEWEST_JOBS = 5


class QueueUnavailable(Exception):
    """The job could not be queued; nothing is left of it."""


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@live_page
def home(request: HttpRequest) -> HttpResponse:
    """Show the form, or take a file and lead to its job; scripts ask for JSON and get `url`."""
    if getattr(request, "scope", {}).get(BODY_REFUSED):
        form = UploadForm.refused()
        return _answer(request, form, 413)
    if request.method != "POST":
        return _answer(request, UploadForm(), 200)
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        large = form.has_error("file", "too_large")
        return _answer(request, form, 413 if large else 400)
    try:
        members = members_of(form.cleaned_data["file"]) if form.cleaned_data["unpack"] else []
    except TooMuch as error:
        form.add_error("file", str(error))
        return _answer(request, form, 400)
    try:
        # The queue is in the same Redis. Where that hangs, asking the broker too would take long.
        if not request.live.available:  # type: ignore[attr-defined]
            raise QueueUnavailable
        job = start(form, request.user, members)
    except QueueUnavailable:
        form.add_error(None, _("The file can't be taken just now. Try again in a moment."))
        return _answer(request, form, 503)
    if _wants_json(request):
        return JsonResponse({"url": job.get_absolute_url()}, status=201)
    response = redirect(job)
    response.status_code = 303  # whatever came, what follows is a GET
    return response


def start(form: UploadForm, owner: object, members: list[Member]) -> Job:
    """
    Keep the form's file and queue its job, of an archive with a part for each of its `members`.

    Where that fails nothing stays behind.
    """
    name = form.name
    upload = uploads.keep(form.cleaned_data["file"])
    try:
        if members:
            return archive_tasks.start(upload, name, members, owner)
        job: Job = analyse_file.apply_async([upload, name], owner=owner, title=name).job
    except OperationalError as error:
        logger.error("A file could not be queued for analysis: %s", error)
        uploads.discard(upload)
        raise QueueUnavailable from error
    except BaseException:
        uploads.discard(upload)
        raise
    return job


def _answer(request: HttpRequest, form: UploadForm, status: int) -> HttpResponse:
    if status != 200 and _wants_json(request):
        return JsonResponse({"errors": form.errors.get_json_data()}, status=status)
    newest = Job.objects.filter(owner_id=request.user.pk, parent=None).defer(*LARGE)[:NEWEST_JOBS]
    context = {
        "form": form,
        "max_bytes": settings.MAX_UPLOAD_BYTES,
        "jobs": with_latest(newest, request.user),
    }
    return render(request, "analysis/home.html", context, status=status)


def _wants_json(request: HttpRequest) -> bool:
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"
