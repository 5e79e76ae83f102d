"""
The stream's view: who may read what, and from where. It holds no stream itself.
"""

import logging
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET
from django_eventstream.utils import add_default_headers, get_channelmanager

from . import sse
from .channels import check_channel
from .exceptions import InvalidChannel
from .hub import get_hub
from .permissions import Holder
from .subscription import VISITOR, Subscription

logger = logging.getLogger(__name__)

CHANNELS_MAX = 50  # of one stream, which all tabs of a browser share; their URL has 8 KB


class EventStreamResponse(StreamingHttpResponse):
    """
    A response that streams ``channels`` from ``cursor`` on (None: from now on) to ``holder``.

    ``refused`` are channels that were asked for and are not streamed; the client is told.

    ``EventStreams`` takes it from the view and holds the stream without a thread. Under Django's
    own ASGI handler it works too, at the price of a thread for as long as it is open. A WSGI server
    can't hold a stream: there it ends at once, with an error for the client and one in the log.
    """

    def __init__(
        self,
        channels: Sequence[str],
        cursor: Mapping[str, int] | None,
        holder: Holder = VISITOR,
        refused: Sequence[str] = (),
    ) -> None:
        self.channels = channels
        self.cursor = cursor
        self.holder = holder
        self.refused = refused
        super().__init__(self._stream(), content_type="text/event-stream; charset=utf-8")

    def subscription(self) -> Subscription:
        """Return what streams the body, once it has joined the hub of the running event loop."""
        return Subscription(self.channels, self.cursor, self.holder, self.refused)

    def __iter__(self) -> Iterator[bytes]:
        # Django would read the stream to its end first, which never comes.
        logger.error(
            "A stream can't be held under WSGI, which `runserver` is too. Serve the site's ASGI "
            "application: `python -m uvicorn --reload mysite.asgi:application`."
        )
        yield b'event: stream-error\ndata: {"condition": "wsgi", "text": "Needs ASGI."}\n\n'

    async def _stream(self) -> AsyncGenerator[bytes]:
        _warn_of_threads()
        subscription = self.subscription()
        get_hub().join(subscription)
        try:
            async with aclosing(subscription.stream()) as stream:
                async for chunk in stream:
                    yield chunk
        finally:
            get_hub().leave(subscription)


@cache  # once in a process
def _warn_of_threads() -> None:
    logger.warning(
        "Each open stream keeps a thread: wrap the site's ASGI application in "
        "notifications.asgi.EventStreams."
    )


# Only GET does anything here, so a POST is refused for its method rather than for its token.
@csrf_exempt
@require_GET
def events(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
    """
    Stream the user's own channel, and those that the request names, from ``Last-Event-ID`` on.

    The first stream of a page has its cursor in the query, ``lastEventId``; when the browser
    reconnects, its header has a newer one.

    401 for a visitor who is not logged in, 400 for what can't be a channel, 403 where the user may
    read none of the channels that the request names. Where it is some of them the others are left
    out, and a ``stream-reset`` names them: the tabs of a browser share a stream, and what one of
    them may no longer read must not cost the others theirs.
    """
    manager = get_channelmanager()
    channels = sorted(manager.get_channels_for_request(request, kwargs))
    if len(channels) > CHANNELS_MAX:
        return _refuse(400, _("A stream can have %d channels at most.") % CHANNELS_MAX)
    try:
        for channel in channels:
            check_channel(channel)
    except InvalidChannel as error:
        return _refuse(400, str(error))
    readable = [name for name in channels if manager.can_read_channel(request.user, name)]
    named = {*kwargs.get("channels", ()), *request.GET.getlist("channel")} or set(channels)
    if named.isdisjoint(readable):
        if request.user.is_authenticated:
            return _refuse(403, _("You may not read this channel."))
        return _refuse(401, _("Log in to receive events."))
    refused = [name for name in channels if name not in readable]
    response = EventStreamResponse(readable, _cursor(request), Holder.of(request), refused)
    add_default_headers(response, request)
    return response


events.is_event_stream = True  # type: ignore[attr-defined]  # read by EventStreams


def _cursor(request: HttpRequest) -> Mapping[str, int] | None:
    text = request.headers.get("Last-Event-ID") or request.GET.get("lastEventId")
    return sse.parse_cursor(text) if text else None


def _refuse(status: int, text: str) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
