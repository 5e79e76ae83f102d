"""The app of the transport: no models, one owned channel per user."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotificationsConfig(AppConfig):
    name = "notifications"
    verbose_name = _("Notifications")

    def ready(self) -> None:
        from . import channels, checks, kicks  # noqa: F401

        kicks.connect_signals()
        channels.register(channels.USER_PREFIX, channels.may_read_user_channel)
