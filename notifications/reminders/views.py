"""A person's own reminders: the list, and marking them read."""

import re

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from ..pages import live_page
from .delivery import mark_read
from .models import Delivery

PAGE_SIZE = 25

_ID = re.compile(r"[0-9]{1,19}", re.ASCII)
ID_MAX = 2**63 - 1  # the largest that a BigAutoField holds


@require_safe
@login_required
@live_page
def list_reminders(request: HttpRequest) -> HttpResponse:
    """Show the user's reminders, newest first; ``?show=unread`` leaves out what was read."""
    unread = request.GET.get("show") == "unread"
    deliveries = Delivery.objects.of(request.user).select_related("reminder")
    if unread:
        deliveries = deliveries.unread()
    page = Paginator(deliveries, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "reminders/list.html", {"page": page, "unread": unread})


# Not a live page: it renders nothing that would need a cursor.
@require_POST
@login_required
def read(request: HttpRequest) -> HttpResponse:
    """
    Mark reminders read: those named by ``id``, once or more often, or ``all=1`` for all.

    Ids of others are ignored like ids of nothing, so the answer never tells which exist. What is
    not an id is answered with 400 and changes nothing. Redirects to the list (``show=unread`` is
    kept), or answers 204 where the client would rather have JSON than a page.
    """
    if request.POST.get("all") == "1":
        mark_read(request.user)
    else:
        try:
            ids = [parse_id(text) for text in request.POST.getlist("id")]
        except ValueError as error:
            return _bad_request(str(error))
        if not ids:
            return _bad_request(_("Say which reminders: id, once or more often, or all=1."))
        mark_read(request.user, ids)

    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        return HttpResponse(status=204)
    show = "?show=unread" if request.POST.get("show") == "unread" else ""
    return redirect(reverse("reminders:list") + show)


def parse_id(text: str) -> int:
    """Return the id that a form sent. Raises ``ValueError`` for what can't be one."""
    if not _ID.fullmatch(text) or not 0 < int(text) <= ID_MAX:
        raise ValueError(_("A reminder's id is a positive whole number."))
    return int(text)


def _bad_request(text: str) -> HttpResponse:
    return HttpResponseBadRequest(text + "\n", content_type="text/plain; charset=utf-8")
