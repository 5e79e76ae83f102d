"""
Writing reminders in Django's admin: saving one delivers it.

Who may do what is Django's: ``add_reminder`` writes one, ``change_reminder`` adds recipients,
``view_delivery`` shows who has read it, and ``view_user`` is needed to find recipients by name.
"""

import copy
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from .delivery import deliver
from .forms import TEXT_FIELDS, RecipientsWidget, ReminderForm
from .models import Delivery, Reminder


@admin.register(Reminder)
class ReminderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """
    Write a reminder and send it by saving it.

    What has been delivered stands on people's pages, so its text can't be changed any more; it
    can be sent to more people, and nobody gets it twice.
    """

    form = ReminderForm
    list_display = ("title", "level", "created", "created_by", "delivered", "read")
    list_filter = ("level", "created")
    list_select_related = ("created_by",)
    search_fields = ("title", "text")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reminder]:
        is_read = Q(deliveries__read_at__isnull=False)
        reminders: QuerySet[Reminder] = super().get_queryset(request)
        return reminders.annotate(
            delivered_count=Count("deliveries"),
            read_count=Count("deliveries", filter=is_read),
        )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return (*TEXT_FIELDS, "recipients")
        shown = (*TEXT_FIELDS, "created", "created_by", "deliveries")
        return (*shown, "recipients") if self.has_change_permission(request, obj) else shown

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        always = ("created", "created_by", "deliveries")
        return (*TEXT_FIELDS, *always) if _is_sent(obj) else always

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[Any]:
        form = super().get_form(request, obj, change, **kwargs)
        # A copy: what is declared is one object for every form made of this class.
        recipients: Any = copy.deepcopy(form.base_fields["recipients"])
        form.base_fields["recipients"] = recipients
        recipients.widget = RecipientsWidget(Delivery._meta.get_field("user"), self.admin_site)
        recipients.widget.choices = recipients.choices
        if _is_sent(obj):
            recipients.required = False
            recipients.label = _("Send it also to")
        return form

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = request.user
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        new = deliver(form.instance, form.cleaned_data["recipients"])
        text = ngettext("Sent to %(count)d person.", "Sent to %(count)d people.", len(new))
        self.message_user(request, text % {"count": len(new)}, messages.INFO)

    @admin.display(description=_("delivered"), ordering="delivered_count")
    def delivered(self, reminder: Any) -> int:
        return int(reminder.delivered_count)

    @admin.display(description=_("read"), ordering="read_count")
    def read(self, reminder: Any) -> int:
        return int(reminder.read_count)

    @admin.display(description=_("deliveries"))
    def deliveries(self, reminder: Any) -> str:
        return format_html(
            '<a href="{}?reminder__id__exact={}">{}</a>',
            reverse(f"{self.admin_site.name}:reminders_delivery_changelist"),
            reminder.pk,
            _("%(delivered)d delivered, %(read)d of them read")
            % {"delivered": reminder.delivered_count, "read": reminder.read_count},
        )


@admin.register(Delivery)
class DeliveryAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Who got which reminder, and who has read it. Only ``deliver`` makes these."""

    list_display = ("user", "reminder", "created", "read_at")
    list_filter = (("read_at", admin.EmptyFieldListFilter), "created")
    list_select_related = ("user", "reminder")
    search_fields = ("reminder__title", f"user__{get_user_model().USERNAME_FIELD}")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _is_sent(reminder: Any) -> bool:
    return reminder is not None and reminder.delivered_count > 0
