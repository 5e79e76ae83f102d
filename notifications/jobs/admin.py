"""Jobs in Django's admin: to look at, not to change."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from .models import Job


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("title", "owner", "state", "created", "started", "finished")
    list_filter = ("state", "task", "created")
    list_select_related = ("owner",)
    search_fields = ("title", "error", "owner__username")
    date_hierarchy = "created"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
