"""The page of one reminder in the admin: the form while it can be changed, then its report."""

import copy
from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import report, schedule, sending
from ..models import Occurrence, Reminder
from ..recurrence import InvalidRule, InvalidTime, InvalidZone
from . import preview, report_page, timing
from .forms import (
    AUDIENCE_FIELDS,
    EDITABLE,
    TEXT_FIELDS,
    WHEN_FIELDS,
    WIDE_FIELDS,
    KeysWidget,
    ReminderForm,
    is_repeating,
)

USERS_MAX: Final = 500  # in the form, which sends them all; Django takes 1,000 fields

# What is said, beside its text, of one that can't be changed.
SAID = ("when_text", "audience_text", "created_by", "created", "sent_at")


class PageAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """
    Shows and saves one reminder.

    What the form refuses is not saved, and what is saved is sent, scheduled or a draft, as the
    button says. A reminder that is being sent, was sent or is cancelled is shown and not changed.
    """

    form = ReminderForm
    change_form_template = "admin/reminders/reminder/change_form.html"

    class Media:
        css = {"all": ("notifications/admin/reminders.css",)}

    # --- Who may ----------------------------------------------------------------------------------

    def may_send_to_everyone(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reminders.send_to_everyone")

    def may_send(self, request: HttpRequest, reminder: Any) -> bool:
        """Whether the user may have this reminder's audience reminded."""
        is_wide = any(getattr(reminder, name) for name in WIDE_FIELDS)
        return not is_wide or self.may_send_to_everyone(request)

    def may_edit(self, request: HttpRequest, reminder: Any) -> bool:
        if reminder is None:
            return self.has_add_permission(request)
        return reminder.state in EDITABLE and self.has_change_permission(request, reminder)

    def may_see_names(self, request: HttpRequest, field: str = "users") -> bool:
        """Whether the user may see what the users (or groups) of the site are called."""
        meta = self.model._meta.get_field(field).related_model._meta
        return request.user.has_perm(f"{meta.app_label}.view_{meta.model_name}")

    # --- The form ---------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if not self.may_edit(request, obj):
            given = (name for name in TEXT_FIELDS if getattr(obj, name))
            return [(None, {"fields": (*given, *SAID)})]
        users = "users_text" if _has_many_users(obj) else "users"
        whom = (users, *(name for name in AUDIENCE_FIELDS if name != "users"))
        return [
            (None, {"fields": (*TEXT_FIELDS, "token" if obj is None else "seen")}),
            (_("To whom"), {"fields": whom, "classes": ("audience",)}),
            (_("When"), {"fields": WHEN_FIELDS, "classes": ("when",)}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if not self.may_edit(request, obj):
            return (*TEXT_FIELDS, *SAID)
        return ("users_text",) if _has_many_users(obj) else ()

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[Any]:
        if not self.may_edit(request, obj):
            return super().get_form(request, obj, change, **{**kwargs, "form": forms.ModelForm})
        made: Any = super().get_form(request, obj, change, **kwargs)
        for name in ("users", "groups"):
            # A copy: what is declared is one object for every form made of this class.
            field: Any = copy.deepcopy(made.base_fields[name])
            field.widget = KeysWidget(Reminder._meta.get_field(name), self.admin_site)
            field.widget.choices = field.choices
            field.shows_names = self.may_see_names(request, name)
            made.base_fields[name] = field
        if _has_many_users(obj):
            del made.base_fields["users"]
        made.may_send_to_everyone = self.may_send_to_everyone(request)
        made.typed = getattr(request, "reminder_typed", None)
        form: type[Any] = made
        return form

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        if request.method != "POST":
            return super().changeform_view(request, object_id, form_url, extra_context)
        if object_id is not None:
            reminder = self.get_object(request, unquote(object_id))
            if reminder is not None and reminder.state not in EDITABLE:
                text = _("This reminder can't be changed any more. Duplicate it instead.")
                self.message_user(request, text, messages.ERROR)
                return HttpResponseRedirect(request.path)
        elif (made := self._made_by(request)) is not None:
            return self._to_made(request, made)
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except IntegrityError:  # the same form came twice at the same moment
            if object_id is not None or (made := self._made_by(request)) is None:
                raise
            return self._to_made(request, made)
        except (InvalidRule, InvalidTime, InvalidZone, sending.NotSendable) as error:
            # What the form could not know yet. Nothing of it is saved.
            self.message_user(request, str(error), messages.ERROR)
            self.show_again(request)
            return super().changeform_view(request, object_id, form_url, extra_context)

    def show_again(self, request: HttpRequest) -> None:
        """Let Django's view show the form with what was typed, instead of saving it."""
        request.reminder_typed = request.POST  # type: ignore[attr-defined]
        request.method = "GET"

    def _made_by(self, request: HttpRequest) -> Any:
        """Return the reminder that this user has made by the form that was sent off, if any."""
        key = form_key(request.POST.get("token"))
        made = Reminder.objects.filter(idempotency_key=key, created_by=request.user.pk)
        return made.first() if key else None

    def _to_made(self, request: HttpRequest, made: Reminder) -> HttpResponseRedirect:
        text = _(
            "This form was saved before, and here is what it has made. It is not saved twice: "
            "duplicate it to write another."
        )
        self.message_user(request, text, messages.WARNING)
        return self._to_page(request, made)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        form, names = context["adminform"].form, self.may_see_names(request)
        may_edit = self.may_edit(request, obj)
        context["may_edit"] = may_edit
        if may_edit:
            bound = form.is_bound
            found = preview.of_form(form, names) if bound else preview.of_reminder(obj, names)
            context["preview"] = found
            context["may_send_now"] = obj is None or not is_repeating(obj)
        if obj is not None:
            context.update(report_page.context(self, request, obj))
        return super().render_change_form(request, context, add, change, form_url, obj)

    # --- Saving -----------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            # The form holds the row, so this is not of what beat has begun to send.
            due = Occurrence.objects.filter(reminder=obj, state=Occurrence.State.DUE)
            due.delete()
            obj.version += 1
        else:
            obj.created_by = request.user
            obj.idempotency_key = form_key(form.cleaned_data.get("token"))
        is_scheduled = form.action == "schedule" and not form.cleaned_data.get("is_past")
        obj.state = Reminder.State.SCHEDULED if is_scheduled else Reminder.State.DRAFT
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        reminder = form.instance
        if reminder.state == Reminder.State.SCHEDULED:
            schedule.plan(reminder)
            when = timing.in_words(reminder.local_at, reminder.zone, reminder.rule)
            self._say(request, _("Scheduled: %(when)s.") % {"when": when})
        elif form.action in ("send", "schedule"):
            sending.send_now(reminder, request.user)
            self._say(request, sent_text(reminder))
        else:
            self._say(request, _("Saved as a draft. It is sent to nobody yet."))

    def _say(self, request: HttpRequest, text: str) -> None:
        self.message_user(request, text, messages.SUCCESS)

    def response_add(self, request: HttpRequest, obj: Any, *args: Any, **kwargs: Any) -> Any:
        return self._to_page(request, obj)

    def response_change(self, request: HttpRequest, obj: Any, *args: Any, **kwargs: Any) -> Any:
        return self._to_page(request, obj)

    def _to_page(self, request: HttpRequest, reminder: Any) -> HttpResponseRedirect:
        site = self.admin_site.name
        if not self.has_view_or_change_permission(request, reminder):  # somebody who only adds
            return HttpResponseRedirect(reverse(f"{site}:index"))
        return HttpResponseRedirect(
            reverse(f"{site}:reminders_reminder_change", args=[reminder.pk])
        )

    # --- What is said of one that is not changed any more -----------------------------------------

    @admin.display(description=_("when"))
    def when_text(self, reminder: Any) -> str:
        if not reminder.local_at:
            return _("at once")
        return timing.in_words(reminder.local_at, reminder.zone, reminder.rule)

    @admin.display(description=_("to whom"))
    def audience_text(self, reminder: Any) -> str:
        if reminder.everyone:
            return _("everyone")
        texts = [self.users_text(reminder)] if reminder.users.exists() else []
        texts += [_("group %(name)s") % {"name": group} for group in reminder.groups.all()]
        if reminder.filter_active_since:
            texts.append(_("active since %(date)s") % {"date": reminder.filter_active_since})
        if reminder.filter_joined_before:
            texts.append(_("joined before %(date)s") % {"date": reminder.filter_joined_before})
        if reminder.filter_staff:
            texts.append(_("staff"))
        return "; ".join(texts) or _("nobody")

    @admin.display(description=_("users"))
    def users_text(self, reminder: Any) -> str:
        count = reminder.users.count()
        return ngettext("%(n)s user", "%(n)s users", count) % {"n": number_format(count)}


def sent_text(reminder: Reminder) -> str:
    """Return what has just been sent to how many; a large sending goes on as a job."""
    count = report.counts(reminder)["addressed"]
    if not count:  # to few people it is sent already, though only the commit says so
        return _("It is being sent. Its bar and its report are below.")
    text = ngettext("Sent to %(count)s person.", "Sent to %(count)s people.", count)
    return text % {"count": number_format(count)}


def form_key(token: Any) -> str | None:
    """Return the idempotency key of what the form with this token makes; None for no token."""
    try:
        return f"form-{UUID(str(token))}"
    except ValueError:
        return None


def _has_many_users(reminder: Any) -> bool:
    """Whether it has more than a form can show and send: code chose them, and they stay."""
    if reminder is None or reminder.pk is None:
        return False
    return len(reminder.users.order_by().values_list("pk")[: USERS_MAX + 1]) > USERS_MAX
