"""
A job: one run of a Celery task that somebody watches.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

TITLE_MAX_LENGTH = 200
MESSAGE_MAX_LENGTH = 200
UNIT_MAX_LENGTH = 20
ERROR_MAX_LENGTH = 1000  # characters of an exception's text; it travels in a message


CHANNEL_PREFIX = "job-"
STEPS_MAX = 20  # that travel in a message


class State(models.TextChoices):
    QUEUED = "queued", _("Waiting")
    RUNNING = "running", _("Running")
    RETRYING = "retrying", _("Trying again")
    SUCCEEDED = "succeeded", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")
    LOST = "lost", _("Lost")


# A lost job has ended as far as anybody can tell; when a worker is heard of it again it leaves
# this set, with a higher version.
FINISHED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.LOST})
UNFINISHED = frozenset(State) - FINISHED

# Fields that may be large and that a list or a message has no use for: `defer(*LARGE)`.
LARGE = ("result", "arguments", "traceback", "log_tail")


class Job(models.Model):
    """
    The state of one run, which outlives Celery's message and everything in Redis.

    Its primary key is the Celery task's id. ``version`` rises with each saved change of state;
    a page ignores what is older than what it shows. The progress in the row is saved now and then
    while the job runs; the newest is a latest value in Redis, see ``live.py``.

    A job with ``members`` is no run of its own: it stands for a group, chord or chain, and ends
    with the last of them.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="jobs",
    )
    parent = models.ForeignKey(
        "self",
        verbose_name=_("part of"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="members",
    )
    # Where a member stands in its canvas, e.g. "c0000.g0003": in the first step of a chain the
    # fourth of a group. Sorted by it, members stand in the order of the canvas.
    place = models.CharField(max_length=200, blank=True, editable=False)
    title = models.CharField(_("title"), max_length=TITLE_MAX_LENGTH)
    task = models.CharField(_("task"), max_length=200)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.QUEUED)
    version = models.PositiveIntegerField(_("version"), default=1)

    message = models.CharField(_("message"), max_length=MESSAGE_MAX_LENGTH, blank=True)
    unit = models.CharField(_("unit"), max_length=UNIT_MAX_LENGTH, blank=True)
    current = models.BigIntegerField(_("current"), default=0)
    total = models.BigIntegerField(_("total"), null=True, blank=True)
    # 0 to 1 over all steps or members; null while it is not known.
    fraction = models.FloatField(_("fraction"), null=True, blank=True)
    steps = models.JSONField(_("steps"), default=list, blank=True)
    members_total = models.PositiveIntegerField(_("members"), default=0)
    members_done = models.PositiveIntegerField(_("members done"), default=0)
    members_failed = models.PositiveIntegerField(_("members failed"), default=0)
    # The last log lines, saved at the end, and how many there were in all.
    log_tail = models.JSONField(_("log"), default=list, blank=True)
    log_lines = models.PositiveIntegerField(_("log lines"), default=0)

    result = models.JSONField(_("result"), null=True, blank=True)
    result_template = models.CharField(_("template of the result"), max_length=100, blank=True)
    result_note = models.CharField(_("note on the result"), max_length=200, blank=True)
    error = models.TextField(_("error"), blank=True)
    traceback = models.TextField(_("traceback"), blank=True)  # for staff only

    # How many times a worker has begun with it.
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    retry_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    worker = models.CharField(_("worker"), max_length=200, blank=True)
    queue = models.CharField(_("queue"), max_length=200, blank=True)
    heartbeat = models.DateTimeField(_("last sign of life"), null=True, blank=True)
    cancel_requested = models.DateTimeField(_("cancel requested"), null=True, blank=True)
    # args, kwargs and options, where they are JSON and the task may be tried again by a person.
    arguments = models.JSONField(_("arguments"), null=True, blank=True)
    retryable = models.BooleanField(_("may be tried again"), default=False)

    created = models.DateTimeField(_("created"), default=timezone.now)
    started = models.DateTimeField(_("started"), null=True, blank=True)
    finished = models.DateTimeField(_("finished"), null=True, blank=True)

    # Known while the job runs only; `live.py` fills them in.
    tick: int = 0
    rate: float | None = None  # units per second
    eta: float | None = None  # seconds left

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        ordering = ("-created", "-id")
        indexes = (
            models.Index(fields=("owner", "-created"), name="jobs_of_owner"),
            models.Index(fields=("finished",), name="jobs_by_end"),
            # What the sweep looks at, every few seconds.
            models.Index(
                fields=("state", "created"),
                name="jobs_unfinished",
                condition=models.Q(state__in=("queued", "running", "retrying")),
            ),
        )

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("jobs:detail", args=(self.pk,))

    @property
    def key(self) -> str:
        """The key of this job's latest value on its owner's channel."""
        return f"{CHANNEL_PREFIX}{self.pk}"

    @property
    def channel(self) -> str:
        """The channel of this job's log lines and, of a group, of its members' states."""
        return f"{CHANNEL_PREFIX}{self.pk}"

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED

    @property
    def is_group(self) -> bool:
        """Whether it stands for its members and is no run of its own."""
        return self.members_total > 0

    @property
    def can_cancel(self) -> bool:
        return self.state in UNFINISHED and self.cancel_requested is None

    @property
    def can_retry(self) -> bool:
        """Whether a person may start it anew; what stands as lost may have gone half its way."""
        return (
            self.retryable
            and self.parent_id is None
            and self.is_finished
            and self.state != State.SUCCEEDED
        )

    @property
    def queue_time(self) -> timedelta | None:
        """From the call to the first start; None before that."""
        return _passed(self.created, self.started)

    @property
    def duration(self) -> timedelta | None:
        """From the first start to the end, with all attempts; None before the end."""
        return _passed(self.started, self.finished)

    def as_event(self) -> dict[str, Any]:
        """The whole state that its owner may see, as the data of a ``job`` message."""
        return {
            "id": str(self.pk),
            "version": self.version,
            "tick": self.tick,
            "title": self.title,
            "state": str(self.state),
            "message": self.message,
            "unit": self.unit,
            "current": self.current,
            "total": self.total,
            "fraction": self.fraction,
            "steps": self.steps[:STEPS_MAX],
            "rate": self.rate,
            "eta": self.eta,
            "url": self.get_absolute_url(),
            "created": self.created,
            "started": self.started,
            "finished": self.finished,
            "attempts": self.attempts,
            "retryAt": self.retry_at,
            "members": {
                "total": self.members_total,
                "done": self.members_done,
                "failed": self.members_failed,
            }
            if self.is_group
            else None,
            "parent": str(self.parent_id) if self.parent_id else None,
            "canCancel": self.can_cancel,
            "canRetry": self.can_retry,
            "error": self.error,
        }


def _passed(since: datetime | None, until: datetime | None) -> timedelta | None:
    """From one moment to another, of which each may be by another machine's clock."""
    return max(until - since, timedelta()) if since and until else None
