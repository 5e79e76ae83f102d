"""The demo site's own job: analyse a file."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AnalysisConfig(AppConfig):
    name = "project.analysis"
    label = "analysis"
    verbose_name = _("Analysis of files")
