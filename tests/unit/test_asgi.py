"""`EventStreams` as an ASGI server meets it: its life, and streams that come at the wrong time."""

import asyncio
import signal

import pytest
from django.core.asgi import get_asgi_application
from django.urls import path

from notifications.asgi import EventStreams, drain
from notifications.views import EventStreamResponse

pytestmark = [pytest.mark.usefixtures("redis_client"), pytest.mark.asyncio]


def events(request):
    return EventStreamResponse(["user-1"], None)


events.is_event_stream = True
urlpatterns = [path("events/", events)]


@pytest.fixture
def application(settings):
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = []
    before = signal.getsignal(signal.SIGINT)  # of the tests
    yield EventStreams(get_asgi_application())
    signal.signal(signal.SIGINT, before)


async def open_stream(application) -> bytes:
    """Return the body, once the stream has ended by itself."""
    body = b""

    async def send(message):
        nonlocal body
        body += message.get("body", b"")

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/events/",
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
    }
    await application(scope, asyncio.Event().wait, send)
    return body


async def test_a_stream_ends_at_once_that_opens_after_a_signal_that_came_before_the_first_one(
    application,
):
    done: asyncio.Queue[str] = asyncio.Queue()
    events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    life = asyncio.create_task(
        application({"type": "lifespan"}, events.get, lambda said: done.put(said["type"]))
    )
    async with asyncio.timeout(5):
        events.put_nowait({"type": "lifespan.startup"})
        assert await done.get() == "lifespan.startup.complete"
        drain()
        assert (await open_stream(application)).startswith(b"retry:")
        events.put_nowait({"type": "lifespan.shutdown"})
        assert await done.get() == "lifespan.shutdown.complete"
        await life
