"""The app of jobs: tracked Celery tasks and their pages, and a channel for each job."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class JobsConfig(AppConfig):
    name = "notifications.jobs"
    label = "jobs"
    verbose_name = _("Jobs")

    def ready(self) -> None:
        from celery.signals import task_revoked, task_unknown

        from .. import channels
        from . import broker_loss, checks, heartbeat, requests, sweep  # noqa: F401
        from .models import CHANNEL_PREFIX
        from .readers import may_read_job_channel

        channels.register(CHANNEL_PREFIX, may_read_job_channel)
        task_revoked.connect(requests.revoked, dispatch_uid="carillon.revoked", weak=False)
        task_unknown.connect(requests.unknown, dispatch_uid="carillon.unknown", weak=False)
        broker_loss.connect()
        heartbeat.connect()
        sweep.connect()
