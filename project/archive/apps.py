"""The demo site's second job: analyse each file of an archive, and sum up."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ArchiveConfig(AppConfig):
    name = "project.archive"
    label = "archive"
    verbose_name = _("Analysis of archives")
