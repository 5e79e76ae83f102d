"""
django-eventstream's public face: ``send_event()`` and its settings, carried by this transport.

    EVENTSTREAM_CHANNELMANAGER_CLASS = "notifications.eventstream.ChannelManager"
    EVENTSTREAM_STORAGE_CLASS = "notifications.eventstream.Storage"
"""

from typing import Any

from django.http import HttpRequest
from django_eventstream.channelmanager import ChannelManagerBase
from django_eventstream.event import Event
from django_eventstream.storage import EventDoesNotExist, StorageBase

from . import channels, storage
from .publishing import publish_text


class ChannelManager(ChannelManagerBase):  # type: ignore[misc]
    """
    Which channels a request streams, and who may read them: nobody, unless the owner says so.

    A site that wants more channels on a stream subclasses this and names its class in the setting.
    """

    def get_channels_for_request(
        self, request: HttpRequest, view_kwargs: dict[str, Any]
    ) -> set[str]:
        """Return the user's own channel, and those of the URL (``channels``) and the query."""
        wanted = {*view_kwargs.get("channels", ()), *request.GET.getlist("channel")}
        if request.user.is_authenticated:
            wanted.add(channels.user_channel(request.user))
        return wanted

    def can_read_channel(self, user: Any, channel: str) -> bool:
        return channels.may_read(user, channel)

    def is_channel_reliable(self, channel: str) -> bool:
        return True


class Storage(StorageBase):  # type: ignore[misc]
    """
    django-eventstream's storage on this transport: what is appended is published too.

    So ``EVENTSTREAM_REDIS`` must not be set: it would have every message sent a second time.
    """

    def append_event(self, channel: str, event_type: str, data: str) -> Event:
        """Publish a log message; raises what ``publish`` does. ``data`` is text, mostly JSON."""
        id = publish_text(channel, event_type, str(data))
        return Event(channel, event_type, data, id=id)

    def get_events(self, channel: str, last_id: int, limit: int = 100) -> list[Event]:
        page = storage.read(channel, int(last_id))
        if not page.proven:
            raise EventDoesNotExist(f"No such event {last_id}", page.log_head)
        return [
            Event(channel, message.type, message.data, id=message.id)
            for message in page.log[:limit]
        ]

    def get_current_id(self, channel: str) -> int:
        return storage.cursors([channel])[channel]
