"""Jobs in Django's admin: to look at, to cancel and to start anew; not to change."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from kombu.exceptions import OperationalError

from .control import cancel, retry
from .exceptions import NotPossible
from .models import LARGE, Job
from .preview import preview
from .templatetags.carillon_jobs import percent, share, short_time

ERROR_CHARACTERS = 80  # of an error, in the list


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """
    All jobs, for staff who may view them; who may change them can cancel them and try again.
    """

    list_display = ("title", "standing", "fault", "owner", "created", "took")
    list_filter = (
        "state",
        "created",
        ("parent", admin.EmptyFieldListFilter),
        ("error", admin.EmptyFieldListFilter),
        "task",
    )
    list_select_related = ("owner",)
    empty_value_display = "–"
    search_fields = ("title", "error", f"owner__{get_user_model().USERNAME_FIELD}")
    search_help_text = _("Title, error, owner, or a job's whole id")
    date_hierarchy = "created"
    actions = ("cancel_jobs", "retry_jobs")
    fieldsets = (
        (None, {"fields": ("title", "owner", "state", "error", "traceback_text", "parent")}),
        (
            _("Progress"),
            {"fields": ("progress", "message", "current", "total", "unit", "phases", "parts")},
        ),
        (
            _("Run"),
            {
                "fields": (
                    *("id", "task", "worker", "attempts", "retry_at", "heartbeat"),
                    *("cancel_requested", "created", "waited", "started", "finished", "took"),
                    *("retryable", "arguments"),
                )
            },
        ),
        (_("Result"), {"fields": ("result_text", "result_note", "log")}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Whether the user may cancel jobs and try them again; read by Django for the actions."""
        return request.user.has_perm("jobs.change_job")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        jobs: QuerySet[Job] = super().get_queryset(request)
        return jobs.defer(*LARGE)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        try:
            pk = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(pk=pk), False

    @admin.action(description=_("Cancel selected jobs"), permissions=["act"])
    def cancel_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        done, left = self._act(request, queryset, cancel)
        if done:
            text = ngettext("%(n)d job was asked to stop.", "%(n)d jobs were asked to stop.", done)
            self.message_user(request, text % {"n": done}, messages.SUCCESS)
        if left:
            text = ngettext(
                "%(n)d job can't be cancelled: it has ended, or was asked before.",
                "%(n)d jobs can't be cancelled: they have ended, or were asked before.",
                left,
            )
            self.message_user(request, text % {"n": left}, messages.WARNING)

    @admin.action(description=_("Try selected jobs again"), permissions=["act"])
    def retry_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        done, left = self._act(request, queryset, retry)
        if done:
            text = ngettext("%(n)d job was started anew.", "%(n)d jobs were started anew.", done)
            self.message_user(request, text % {"n": done}, messages.SUCCESS)
        if left:
            text = ngettext(
                "%(n)d job can't be tried again: it has not failed, or its task is made for one "
                "attempt.",
                "%(n)d jobs can't be tried again: they have not failed, or their tasks are made "
                "for one attempt.",
                left,
            )
            self.message_user(request, text % {"n": left}, messages.WARNING)

    def _act(
        self, request: HttpRequest, queryset: QuerySet[Job], act: Callable[..., Any]
    ) -> tuple[int, int]:
        """Act on those jobs that it can be done with; return their number, and of the others."""
        done = left = 0
        for job in queryset:
            try:
                is_done = bool(act(job, by=request.user))
            except (NotPossible, OperationalError):
                is_done = False
            done += is_done
            left += not is_done
        return done, left

    @admin.display(description=_("state"), ordering="state")
    def standing(self, job: Job) -> str:
        far = "" if job.is_finished else percent(share(job))
        return f"{job.get_state_display()} {far}".rstrip()

    @admin.display(description=_("progress"))
    def progress(self, job: Job) -> str:
        return percent(share(job)) or "–"

    @admin.display(description=_("took"))
    def took(self, job: Job) -> str:
        return short_time(job.duration) or "–"

    @admin.display(description=_("waited"))
    def waited(self, job: Job) -> str:
        return short_time(job.queue_time) or "–"

    @admin.display(description=_("error"), ordering="error")
    def fault(self, job: Job) -> str:
        if not job.error:
            return "–"
        url = reverse(f"{self.admin_site.name}:jobs_job_change", args=(job.pk,))
        text = Truncator(job.error).chars(ERROR_CHARACTERS)
        return format_html('<a href="{}#traceback">{}</a>', url, text)

    @admin.display(description=_("traceback"))
    def traceback_text(self, job: Job) -> str:
        if not job.traceback:
            return format_html('<span id="traceback">{}</span>', "–")
        return format_html('<pre id="traceback">{}</pre>', job.traceback)

    @admin.display(description=_("steps"))
    def phases(self, job: Job) -> str:
        words = {"waiting": _("waiting"), "running": _("running"), "done": _("done")}
        lines = ((step["title"], words.get(step["state"], "")) for step in job.steps)
        return format_html_join(mark_safe("<br>"), "{}: {}", lines) or "–"

    @admin.display(description=_("parts"))
    def parts(self, job: Job) -> str:
        if not job.is_group:
            return "–"
        return format_html(
            '<a href="{}?parent__id__exact={}">{}</a>',
            reverse(f"{self.admin_site.name}:jobs_job_changelist"),
            job.pk,
            _("%(done)d of %(total)d, %(failed)d without success")
            % {
                "done": job.members_done,
                "total": job.members_total,
                "failed": job.members_failed,
            },
        )

    @admin.display(description=_("result"))
    def result_text(self, job: Job) -> str:
        if job.result is None:
            return "–"
        shown = preview(job.result)
        link = format_html(
            '<a href="{}" download>{}</a>',
            reverse("jobs:result", args=(job.pk,)),
            _("Download as JSON"),
        )
        return format_html("<pre>{}{}</pre>{}", shown.text, "…" if shown.cut else "", link)

    @admin.display(description=_("log"))
    def log(self, job: Job) -> str:
        if not job.log_tail:
            return "–"
        lines = "\n".join(
            f"{line['at'][11:19]} {line['level']:7} {line['text']}" for line in job.log_tail
        )
        return format_html("<pre>{}</pre>", lines)
