"""
ASGI: streams held outside Django's handler, without a thread each.

Django's ASGI handler keeps a thread for as long as a response streams. ``EventStreams`` runs the
view of a stream as WSGI would, the whole synchronous stack in one hop of a small pool, and holds
the response itself::

    application = EventStreams(get_asgi_application())
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from io import BytesIO
from typing import Any

from django.core import signals
from django.core.handlers.asgi import ASGIRequest, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.http import HttpResponseBase
from django.urls import Resolver404, resolve, set_script_prefix

from .conf import conf
from .hub import drain_all, get_hub
from .subscription import Subscription
from .views import EventStreamResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def drain() -> None:
    """End the streams of this process cleanly; safe in a signal handler and from any thread."""
    drain_all()


class EventStreams:
    """An ASGI application: event streams it serves itself, the rest goes to ``application``."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._handler = _ViewHandler()
        self._threads = ThreadPoolExecutor(conf.view_threads, "notifications-view")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and _is_event_stream(scope):
            loop = asyncio.get_running_loop()
            response = await loop.run_in_executor(self._threads, self._handler.respond, scope)
            await send(_start(response))
            if isinstance(response, EventStreamResponse):
                await _hold(response, receive, send)
            else:
                await send({"type": "http.response.body", "body": response.content})  # type: ignore[attr-defined]
        else:
            await self._application(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await get_hub().close()
                self._threads.shutdown(wait=False)
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


class _ViewHandler(BaseHandler):
    """Django's synchronous stack for one request: signals, middleware, URL, view."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware()

    def respond(self, scope: Scope) -> HttpResponseBase:
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        response = self.get_response(ASGIRequest(scope, BytesIO()))
        # Ends the request for Django: the database connection goes back, and no stream keeps one.
        response.close()
        return response


def _is_event_stream(scope: Scope) -> bool:
    try:
        match = resolve(scope["path"].removeprefix(scope.get("root_path", "")))
    except Resolver404:
        return False
    return getattr(match.func, "is_event_stream", False)


def _start(response: HttpResponseBase) -> dict[str, Any]:
    headers = [(name.encode("latin1"), value.encode("latin1")) for name, value in response.items()]
    headers += [
        (b"Set-Cookie", cookie.OutputString().encode("latin1"))
        for cookie in response.cookies.values()
    ]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


async def _hold(response: EventStreamResponse, receive: Receive, send: Send) -> None:
    """Send the stream until it ends, or the client has gone."""
    with response.subscribed() as subscription:
        watching = asyncio.create_task(_end_on_disconnect(receive, subscription))
        try:
            async with aclosing(subscription.stream()) as stream:
                async for chunk in stream:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            watching.cancel()


async def _end_on_disconnect(receive: Receive, subscription: Subscription) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    subscription.end()
