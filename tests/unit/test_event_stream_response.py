"""A stream where nothing can hold it."""

import logging

from notifications.views import EventStreamResponse


def test_under_wsgi_it_ends_at_once_and_says_why(caplog):
    with caplog.at_level(logging.ERROR, "notifications.views"):
        body = b"".join(EventStreamResponse(["user-1"], None))
    assert body.startswith(b"event: stream-error\n")
    assert "ASGI" in caplog.text
