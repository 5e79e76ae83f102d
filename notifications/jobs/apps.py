"""The app of jobs: tracked Celery tasks and their pages."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class JobsConfig(AppConfig):
    name = "notifications.jobs"
    label = "jobs"
    verbose_name = _("Jobs")
