"""The app of reminders: pages, the admin, and a channel for the report of each reminder."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RemindersConfig(AppConfig):
    name = "notifications.reminders"
    label = "reminders"
    verbose_name = _("Reminders")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from .. import channels
        from . import beat
        from .models import CHANNEL_PREFIX
        from .report import may_read

        channels.register(CHANNEL_PREFIX, may_read)
        beat.connect()
