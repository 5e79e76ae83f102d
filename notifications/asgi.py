"""
ASGI: streams held outside Django's handler, without a thread each.

Django's ASGI handler keeps a thread for as long as a response streams. ``EventStreams`` runs the
view of a stream as WSGI would, the whole synchronous stack in one hop of a small pool, and holds
the response itself::

    application = EventStreams(get_asgi_application())
"""

import asyncio
import random
import signal
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache, partial
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core import signals
from django.core.handlers.asgi import ASGIRequest, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.db import connections
from django.http import HttpResponseBase
from django.urls import Resolver404, resolve, set_script_prefix

from .conf import conf
from .hub import drain_all, get_hub
from .outlet import Outlet
from .subscription import Subscription
from .view_threads import ViewThreads
from .views import EventStreamResponse

KEEP_CONNECTION_SECONDS = 60  # for the view's threads; after that the next request opens it anew

RETRY_AFTER_SECONDS = (5, 15)  # for a client that met a full process; spread, against a storm

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
        self._views = ViewThreads(self._handler.respond, _keep_database_connections)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and _is_event_stream(scope):
            if len(get_hub()) >= conf.streams_per_process:
                await _refuse_one_too_many(send)
                return
            response = await self._views.run(scope)
            await send(_start(response))
            if isinstance(response, EventStreamResponse):
                subscription = response.subscription()
                del response  # and with it the request, its session and its user
                await _hold(subscription, receive, send)
            else:
                await send({"type": "http.response.body", "body": response.content})  # type: ignore[attr-defined]
        else:
            await self._application(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                get_hub()  # there must be one to drain, though no stream may have come before
                _drain_at_signals()
            if message["type"] == "lifespan.shutdown":
                await get_hub().close()
                self._views.close()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


def _keep_database_connections() -> None:
    """
    Let a thread of the pool keep its database connections, where the site says to keep none.

    Under ASGI a site must say so, since Django's own handler uses a new thread for each request.
    These threads stay, as those of a WSGI server do, and opening a connection costs more than the
    two queries of a stream.
    """
    for connection in connections.all():
        if connection.settings_dict["CONN_MAX_AGE"] == 0:
            # A server may have closed its end meanwhile; a file has no other end.
            remote = connection.vendor != "sqlite"
            kept = {"CONN_MAX_AGE": KEEP_CONNECTION_SECONDS, "CONN_HEALTH_CHECKS": remote}
            connection.settings_dict = {**connection.settings_dict, **kept}


def _drain_at_signals() -> None:
    """
    Have the streams end when the signal to stop comes, before the server's own handler runs.

    A server waits for open responses first, and tells its application only after that.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for sig in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(sig)
        if callable(before):
            signal.signal(sig, partial(_drain_first, before))


def _drain_first(before: Callable[[int, Any], Any], sig: int, frame: Any) -> None:
    drain()
    before(sig, frame)


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
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return _leads_to_event_stream(path, settings.ROOT_URLCONF)


@lru_cache(maxsize=1024)
def _leads_to_event_stream(path: str, urlconf: str) -> bool:
    try:
        match = resolve(path, urlconf)
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


async def _refuse_one_too_many(send: Send) -> None:
    """Answer before any work is done for it; the client comes back elsewhere, or later."""
    headers = [
        (b"Content-Type", b"text/plain; charset=utf-8"),
        (b"Retry-After", b"%d" % random.randint(*RETRY_AFTER_SECONDS)),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b"Too many streams are open here.\n"})


async def _hold(subscription: Subscription, receive: Receive, send: Send) -> None:
    """Send the stream until it ends, or the client has gone."""
    outlet = subscription.outlet = Outlet(send)
    subscription.cut_off = partial(_abort, send)
    get_hub().join(subscription)
    watching = asyncio.create_task(_end_on_disconnect(receive, subscription))
    try:
        while (chunk := await subscription.next()) is not None:
            await outlet.write(chunk)
        await outlet.write(b"", more=False)
    finally:
        watching.cancel()
        get_hub().leave(subscription)
        await subscription.close()


def _abort(send: Send) -> None:
    """
    Cut the connection of a client that takes nothing.

    ASGI has no word for it. Closing would wait for the client to take what is buffered, so this
    reaches for uvicorn's transport; another server gets to know by the unfinished response.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()


async def _end_on_disconnect(receive: Receive, subscription: Subscription) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    subscription.end()
