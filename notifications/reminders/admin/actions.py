"""What can be done with a reminder in the admin beside saving it: each a POST of its own."""

from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponseBase,
    JsonResponse,
)
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from .. import api, report, schedule
from ..models import Reminder
from . import preview
from .duplicating import duplicate
from .export import csv_response
from .page import PageAdmin, sent_text
from .report_page import newest_repeat


class ActionsAdmin(PageAdmin):
    """Preview, test, duplicate, cancel, remind again, export: who may not is answered 403."""

    def get_urls(self) -> list[Any]:
        def url(route: str, name: str, view: Any) -> Any:
            wrapped = self.admin_site.admin_view(view)
            return path(route, wrapped, name=f"reminders_reminder_{name}")

        return [
            url("preview/", "preview", self.preview_view),
            url("<path:object_id>/preview/", "preview", self.preview_view),
            url("<path:object_id>/duplicate/", "duplicate", self.duplicate_view),
            url("<path:object_id>/cancel/", "cancel", self.cancel_view),
            url("<path:object_id>/again/", "again", self.again_view),
            url("<path:object_id>/export/", "export", self.export_view),
            *super().get_urls(),
        ]

    @method_decorator(require_POST)
    def preview_view(self, request: HttpRequest, object_id: str | None = None) -> HttpResponseBase:
        """Answer how many people a form addresses, who, and when, without saving anything."""
        reminder = None if object_id is None else self._found(request, object_id)
        form = self._posted_form(request, reminder)
        form.is_preview = True
        return JsonResponse(preview.of_form(form, self.may_see_names(request)))

    @method_decorator(require_POST)
    def duplicate_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        reminder = self._found(request, object_id)
        if not (self.has_view_permission(request, reminder) and self.has_add_permission(request)):
            raise PermissionDenied
        copied = duplicate(reminder, by=request.user)
        self.log_addition(request, copied, [{"added": {}}])
        self._say(request, _("This is a copy, a draft. It is sent to nobody yet."))
        return self._to_page(request, copied)

    @method_decorator(require_POST)
    def cancel_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        reminder = self._found(request, object_id)
        if not self.has_change_permission(request, reminder):
            raise PermissionDenied
        if schedule.cancel(reminder):
            self.log_change(request, reminder, _("Cancelled."))
            self._say(request, _("Cancelled: it is sent to nobody any more. Who has it keeps it."))
        else:
            text = _("There is nothing to cancel: it was sent, or cancelled before.")
            self.message_user(request, text, messages.WARNING)
        return self._to_page(request, reminder)

    @method_decorator(require_POST)
    def again_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Remind those who have not acknowledged, by a new reminder with the same text."""
        reminder = self._found(request, object_id)
        if not (
            self.has_view_permission(request, reminder)
            and self.has_add_permission(request)
            and self.may_send(request, reminder)
        ):
            raise PermissionDenied
        if not reminder.acknowledge or not report.not_acknowledged(reminder).exists():
            self.message_user(request, _("Everybody has acknowledged it."), messages.WARNING)
            return self._to_page(request, reminder)
        first = reminder.repeat_of or reminder
        # After the newest that the page knew: a second click, and another admin's, make no second.
        known = request.POST.get("newest", "")
        if not (known.isascii() and known.isdigit() and len(known) < 20):
            known = str(newest_repeat(first))
        key = f"again-{first.pk}-{known}"
        if (made := Reminder.objects.filter(idempotency_key=key).first()) is not None:
            text = _("Only those were reminded already: by this one.")
            self.message_user(request, text, messages.WARNING)
            return self._to_page(request, made)
        try:
            again = api.remind_again(reminder, request.user, key)
        except ValidationError as error:
            self.message_user(request, " ".join(error.messages), messages.ERROR)
            return self._to_page(request, reminder)
        self.log_addition(request, again, [{"added": {}}])
        self._say(request, sent_text(again))
        return self._to_page(request, again)

    def export_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Answer with the report as CSV; it changes nothing, so it may be a link."""
        reminder = self._found(request, object_id)
        if not (
            self.has_view_permission(request, reminder)
            and request.user.has_perm("reminders.view_delivery")
        ):
            raise PermissionDenied
        return csv_response(request, reminder)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        if request.method == "POST" and "_test" in request.POST:
            self._send_test(request, object_id)
        return super().changeform_view(request, object_id, *args, **kwargs)

    def _send_test(self, request: HttpRequest, object_id: str | None) -> None:
        """Send what was typed to whoever typed it; the form is shown again and not saved."""
        reminder = None if object_id is None else self.get_object(request, unquote(object_id))
        form = self._posted_form(request, reminder)
        if not form.is_valid():
            return  # it is shown with what is wrong, and being wrong it is not saved
        try:
            api.send_test(form.instance, request.user)
        except ValidationError as error:  # with its longer title it may be too large
            self.message_user(request, " ".join(error.messages), messages.ERROR)
        else:
            self._say(request, _("A test was sent to you. Nothing was saved yet."))
        self.show_again(request)

    def _posted_form(self, request: HttpRequest, reminder: Any) -> Any:
        if not self.may_edit(request, reminder):
            raise PermissionDenied
        form = self.get_form(request, reminder, change=reminder is not None)
        return form(request.POST, instance=reminder)

    def _found(self, request: HttpRequest, object_id: str) -> Any:
        reminder = self.get_object(request, unquote(object_id))
        if reminder is None:
            raise Http404
        return reminder
