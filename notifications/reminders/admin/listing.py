"""The admin's list of reminders, and of who has what."""

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Min, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ..models import Delivery, Occurrence, Reminder
from . import timing
from .actions import ActionsAdmin
from .page import PageAdmin


@admin.register(Reminder)
class ReminderAdmin(ActionsAdmin):
    """
    The list; the page of one reminder is in ``page``, its actions in ``actions``.

    It counts no deliveries: of a page of large reminders those are millions.
    """

    list_display = ("title", "state", "level", "when", "next", "created_by")
    list_select_related = ("created_by",)
    list_filter = ("state", "level", "created")
    search_fields = ("title", "text")
    date_hierarchy = "created"
    empty_value_display = "–"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reminder]:
        due = Occurrence.objects.filter(reminder=OuterRef("pk"), state=Occurrence.State.DUE)
        next_due = due.order_by().values("reminder").annotate(next=Min("due"))
        reminders: QuerySet[Reminder] = super().get_queryset(request)
        return reminders.annotate(next_due=Subquery(next_due.values("next")))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Count what goes along, each person's copy; Django would look up and list every one."""
        reminders = list(objs)
        counts = {
            Reminder._meta.verbose_name_plural: len(reminders),
            Delivery._meta.verbose_name_plural: Delivery.objects.filter(
                reminder__in=[reminder.pk for reminder in reminders]
            ).count(),
        }
        counts = {name: count for name, count in counts.items() if count}
        missing = set()
        if len(counts) > 1 and not request.user.has_perm("reminders.delete_delivery"):
            missing.add(Delivery._meta.verbose_name)
        return [str(reminder) for reminder in reminders], counts, missing, []

    @admin.display(description=_("when"))
    def when(self, reminder: Any) -> Any:
        if not reminder.local_at and reminder.state != Reminder.State.DRAFT:
            return reminder.sent_at
        return timing.in_words(reminder.local_at, reminder.zone, reminder.rule)

    @admin.display(description=_("next"), ordering="next_due")
    def next(self, reminder: Any) -> Any:
        return reminder.next_due


@admin.register(Delivery)
class DeliveryAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Who got which reminder, and what became of it. Only ``delivery`` makes these."""

    class Media:
        css = PageAdmin.Media.css

    list_display = ("user", "reminder", "delivered_at", "read_at", "acknowledged_at", "created")
    list_filter = (
        ("read_at", admin.EmptyFieldListFilter),
        ("acknowledged_at", admin.EmptyFieldListFilter),
        "created",
    )
    list_select_related = ("user", "reminder")
    search_fields = ("reminder__title", f"user__{get_user_model().USERNAME_FIELD}")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
