"""
The limit on a request's body, in front of Django.

Django's ASGI handler writes a whole body to disk before the first line of a view runs. A body over
the limit must not get that far.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_REFUSED: Final = "carillon.body_refused"  # in the scope of a request whose body was too large

# What a form adds to the file in it: its other fields, and the lines between.
MARGIN_BYTES: Final = 1024 * 1024

# A browser that is still sending sees no answer, only a broken connection, unless somebody reads
# on. What is read here is thrown away.
DISCARD_SECONDS: Final = 30
DISCARD_BYTES: Final = 8 * 1024**3

BODY_HEADERS: Final = {b"content-length", b"content-type", b"transfer-encoding", b"expect"}


class LimitBody:
    """
    Refuse bodies over ``max_bytes``: at once where the length is announced, else when it is passed.

    The application gets the same request as a GET without a body and with ``BODY_REFUSED`` in its
    scope, so that the page itself can say what was wrong, with status 413.
    """

    def __init__(self, application: Application, max_bytes: int) -> None:
        self._application = application
        self._max_bytes = max_bytes + MARGIN_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Whatever the method: Django stores the body of a GET just as well.
        if scope["type"] != "http":
            await self._application(scope, receive, send)
        elif _announced(scope) > self._max_bytes:
            await self._refuse(scope, receive, send)
        else:
            body = _Counted(receive, self._max_bytes)
            await self._application(scope, body.receive, send)
            if body.over:
                await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name not in BODY_HEADERS]
        refused = {**scope, "method": "GET", "headers": headers, BODY_REFUSED: True}

        async def send_open(message: Message) -> None:
            # Once a response has ended the server reads no more of the request.
            is_body = message["type"] == "http.response.body"
            await send({**message, "more_body": True} if is_body else message)

        await self._application(refused, _no_body(), send_open)
        if not any(name == b"expect" for name, _ in scope["headers"]):
            await _discard(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Counted:
    """A request's body, which breaks off for the application where it gets too long."""

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive = receive
        self._left = max_bytes
        self.over = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.over = True
                return {"type": "http.disconnect"}  # Django lets go of what it has stored
        return message


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _no_body() -> Receive:
    messages: asyncio.Queue[Message] = asyncio.Queue()
    messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})
    return messages.get


async def _discard(receive: Receive) -> None:
    left = DISCARD_BYTES
    try:
        async with asyncio.timeout(DISCARD_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
    except TimeoutError:
        return
