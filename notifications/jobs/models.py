"""
A job: one run of a Celery task that somebody watches.
"""

import uuid
from datetime import timedelta
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


class State(models.TextChoices):
    QUEUED = "queued", _("Waiting")
    RUNNING = "running", _("Running")
    SUCCEEDED = "succeeded", _("Done")
    FAILED = "failed", _("Failed")


FINISHED = frozenset({State.SUCCEEDED, State.FAILED})


class Job(models.Model):
    """
    The state of one run, which outlives Celery's message and everything in Redis.

    Its primary key is the Celery task's id. ``version`` rises with each saved change of state;
    a page ignores what is older than what it shows. The progress in the row is saved now and then
    while the job runs; the newest is a latest value in Redis, see ``live.py``.
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
    title = models.CharField(_("title"), max_length=TITLE_MAX_LENGTH)
    task = models.CharField(_("task"), max_length=200)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.QUEUED)
    version = models.PositiveIntegerField(_("version"), default=1)

    message = models.CharField(_("message"), max_length=MESSAGE_MAX_LENGTH, blank=True)
    unit = models.CharField(_("unit"), max_length=UNIT_MAX_LENGTH, blank=True)
    current = models.BigIntegerField(_("current"), default=0)
    total = models.BigIntegerField(_("total"), null=True, blank=True)

    result = models.JSONField(_("result"), null=True, blank=True)
    result_template = models.CharField(_("template of the result"), max_length=100, blank=True)
    error = models.TextField(_("error"), blank=True)

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
        indexes = (models.Index(fields=("owner", "-created"), name="jobs_of_owner"),)

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("jobs:detail", args=(self.pk,))

    @property
    def key(self) -> str:
        """The key of this job's latest value on its owner's channel."""
        return f"job-{self.pk}"

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED

    @property
    def duration(self) -> timedelta | None:
        """From the start to the end; None before the end."""
        return self.finished - self.started if self.started and self.finished else None

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
            "rate": self.rate,
            "eta": self.eta,
            "url": self.get_absolute_url(),
            "created": self.created,
            "started": self.started,
            "finished": self.finished,
            "error": self.error,
        }
