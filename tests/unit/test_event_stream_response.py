"""A stream where nothing can hold it."""

import logging
from contextlib import aclosing

from notifications.views import EventStreamResponse, _warn_of_threads


def test_under_wsgi_it_ends_at_once_and_says_why(caplog):
    with caplog.at_level(logging.ERROR, "notifications.views"):
        body = b"".join(EventStreamResponse(["user-1"], None))
    assert body.startswith(b"event: stream-error\n")
    assert "ASGI" in caplog.text


async def test_under_djangos_own_handler_it_says_once_what_that_costs(live_redis, caplog):
    _warn_of_threads.cache_clear()
    for _ in range(2):
        async with aclosing(EventStreamResponse(["user-1"], None)._stream()) as stream:
            assert b"stream-open" in await anext(stream)
    assert caplog.text.count("EventStreams") == 1
