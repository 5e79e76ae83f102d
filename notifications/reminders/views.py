"""A person's own reminders: the inbox, what can be done with one, and what that person prefers."""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ..channels import user_channel
from ..pages import live_page
from ..publishing import publish_on_commit
from . import reading, snoozing
from .models import Delivery
from .preferences import PreferenceForm, device_zone, preference_of, zone_of

PAGE_SIZE = 25
SHOWS = ("unread", "snoozed")  # all, where a page says neither

_ID = re.compile(r"[0-9]{1,19}", re.ASCII)
ID_MAX = 2**63 - 1  # the largest that a BigAutoField holds


def login_to_inbox(view: Any) -> Any:
    """As ``login_required``, for a view that takes a POST: the login leads to the inbox."""

    @wraps(view)
    def wrapped(request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(reverse("reminders:list"))
        response: HttpResponse = view(request)
        return response

    return wrapped


@require_safe
@login_required
@live_page
def list_reminders(request: HttpRequest) -> HttpResponse:
    """Show the user's reminders, newest first; ``?show=unread`` or ``snoozed`` only those."""
    now = timezone.now()
    show = _show(request.GET.get("show"))
    deliveries = Delivery.objects.of(request.user).select_related("reminder")
    if show == "unread":
        deliveries = deliveries.unread().visible(now)
    elif show == "snoozed":
        deliveries = deliveries.snoozed(now)
    page = Paginator(deliveries, PAGE_SIZE).get_page(request.GET.get("page"))
    new = [delivery.pk for delivery in page if delivery.delivered_at is None]
    if new:
        reading.mark_delivered(request.user, new)
    rows = [(delivery, state_of(delivery, now)) for delivery in page]
    context = {"page": page, "rows": rows, "show": show, "snoozes": snoozing.CHOICES}
    return render(request, "reminders/list.html", context)


def state_of(delivery: Delivery, now: datetime) -> str:
    """Return the one word that a page shows of a delivery, of all that may hold at a time."""
    if delivery.expires is not None and delivery.expires <= now:
        return "expired"
    if delivery.snoozed_until is not None and delivery.snoozed_until > now:
        return "snoozed"
    if delivery.read_at is None:
        return "unread"
    return "read" if delivery.acknowledged_at is None else "acknowledged"


@require_safe
@login_required
def open_link(request: HttpRequest, pk: int) -> HttpResponse:
    """
    Lead to where one of the user's reminders points, which reads it.

    That way it is read too from a new tab, a notification or a page without JavaScript. A page that
    a browser fetches in advance has been read by nobody.
    """
    own = Delivery.objects.of(request.user).select_related("reminder").exclude(reminder__link="")
    delivery = get_object_or_404(own, pk=pk)
    if request.method == "GET" and "prefetch" not in request.headers.get("Sec-Purpose", ""):
        reading.mark_read(request.user, [pk])
    return redirect(delivery.reminder.link)


# What follows renders nothing that would need a cursor: these are no live pages. Ids of others are
# ignored like ids of nothing, so that an answer never tells which exist.


@require_POST
@login_to_inbox
def read(request: HttpRequest) -> HttpResponse:
    """Mark reminders read: those named by ``id``, once or more often, or ``all=1`` for all."""
    if request.POST.get("all") == "1":
        reading.mark_read(request.user)
        return _done(request)
    return _with_ids(request, reading.mark_read)


@require_POST
@login_to_inbox
def unread(request: HttpRequest) -> HttpResponse:
    """Make reminders unread again; one that was snoozed is back at once."""
    return _with_ids(request, reading.mark_unread)


@require_POST
@login_to_inbox
def snooze(request: HttpRequest) -> HttpResponse:
    """
    Snooze reminders until what ``until`` says: a word, or ``time`` with a local time in ``at``.

    What can't be is told on the next page, also where a script asked, which then shows it.
    """
    choice, at = request.POST.get("until", ""), request.POST.get("at", "")
    try:
        end = snoozing.until(choice, timezone.now(), zone_of(request), at)
    except ValueError as error:
        messages.error(request, str(error))
        return _bad_request(str(error)) if _wants_data(request) else _done(request)
    return _with_ids(request, lambda user, ids: reading.snooze(user, ids, end))


@require_POST
@login_to_inbox
def acknowledge(request: HttpRequest) -> HttpResponse:
    """Acknowledge reminders that ask for it; 404 for one that does not, or is somebody else's."""

    def change(user: Any, ids: Iterable[int]) -> None:
        asking = Delivery.objects.of(user).filter(pk__in=ids, reminder__acknowledge=True)
        if asking.count() != len(set(ids)):
            raise Http404
        reading.acknowledge(user, ids)

    return _with_ids(request, change)


@require_POST
@login_to_inbox
def delivered(request: HttpRequest) -> HttpResponse:
    """Take an open page's word that it has shown reminders."""
    return _with_ids(request, reading.mark_delivered)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@live_page
def settings(request: HttpRequest) -> HttpResponse:
    """Show and change what the user prefers. Pages that are open take it over."""
    form = PreferenceForm(request.POST or None, instance=preference_of(request.user))
    if request.method == "POST" and form.is_valid():
        form.save()
        publish_on_commit(
            user_channel(request.user), "reminder-state", {"ids": [], "state": "settings"}
        )
        messages.success(request, _("Your settings are saved."))
        return redirect("reminders:settings")
    device = device_zone(request)
    if not form.initial["time_zone"]:
        form.initial["time_zone"] = device
    return render(request, "reminders/settings.html", {"form": form, "device": device})


def parse_id(text: str) -> int:
    """Return the id that a form sent. Raises ``ValueError`` for what can't be one."""
    if not _ID.fullmatch(text) or not 0 < int(text) <= ID_MAX:
        raise ValueError(_("A reminder's id is a positive whole number."))
    return int(text)


def _with_ids(request: HttpRequest, change: Any) -> HttpResponse:
    """Call ``change(user, ids)``. What is not an id is answered with 400 and changes nothing."""
    try:
        ids = [parse_id(text) for text in request.POST.getlist("id")]
    except ValueError as error:
        return _bad_request(str(error))
    if not ids:
        return _bad_request(_("Say which reminders: id, once or more often, or all=1."))
    change(request.user, ids)
    return _done(request)


def _done(request: HttpRequest) -> HttpResponse:
    """Answer 204 to a client that would rather have JSON than a page; lead others to the list."""
    if _wants_data(request):
        return HttpResponse(status=204)
    back = {"show": _show(request.POST.get("show")), "page": request.POST.get("page")}
    query = urlencode({name: value for name, value in back.items() if value})
    return redirect(reverse("reminders:list") + (query and f"?{query}"))


def _show(text: str | None) -> str:
    return text if text in SHOWS else ""


def _wants_data(request: HttpRequest) -> bool:
    preferred = request.get_preferred_type(["text/html", "application/json"])
    return preferred == "application/json"


def _bad_request(text: str) -> HttpResponse:
    return HttpResponseBadRequest(text + "\n", content_type="text/plain; charset=utf-8")
