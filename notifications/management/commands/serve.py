"""
``manage.py serve``: the ASGI server, with a life cycle tied to that of the streams.

A plain ``uvicorn project.asgi:application`` works as well; it also starts without Redis.
"""

import gc
import logging
import os
import signal
import socket
import sys
import threading
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

import redis
import uvicorn
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string
from uvicorn.supervisors import Multiprocess

from notifications.conf import conf
from notifications.connections import masked_url

logger = logging.getLogger("notifications.serve")

PING_SECONDS: Final = 3.0
BACKLOG: Final = 2048  # connections that may wait: after a restart all streams come back at once

# On a stop, streams end at once and requests get this long to finish. uvicorn counts whole seconds.
GRACEFUL_SECONDS: Final = 4
# Then the process ends, even where a thread is still stuck in a view: a supervisor must be able
# to rely on 5 s.
LAST_RESORT_SECONDS: Final = 4.8


class Server(uvicorn.Server):
    """uvicorn's server, which ends in bounded time, also where a thread is stuck in a view."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What Django has loaded stays; the collector need not look through it again and again.
        gc.collect()
        gc.freeze()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            last_resort = threading.Timer(LAST_RESORT_SECONDS, _exit_now)
            last_resort.daemon = True
            last_resort.start()
        super().handle_exit(sig, frame)


class Command(BaseCommand):
    help = "Serve the site and its live streams over HTTP (ASGI, uvicorn)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--host",
            default=getattr(settings, "HOST", "127.0.0.1"),
            help="Address to listen on (now: %(default)s).",
        )
        parser.add_argument(
            "--port",
            type=int,
            default=getattr(settings, "PORT", 8000),
            help="Port to listen on; 0 takes a free one (now: %(default)s).",
        )
        parser.add_argument("--uds", help="Listen on this Unix socket instead of host and port.")
        parser.add_argument(
            "--workers",
            type=int,
            default=1,
            help="Processes that share the port; one that dies is replaced (now: %(default)s).",
        )
        parser.add_argument(
            "--access-log", action="store_true", help="Log each request when its response starts."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # Until uvicorn takes the signals over, and after it has given them back.
        signal.signal(signal.SIGTERM, _exit_quietly)
        signal.signal(signal.SIGINT, _exit_quietly)
        _require_redis()
        application = _application()
        listener, address = _listen(options["host"], options["port"], options["uds"])
        config = uvicorn.Config(
            application,
            loop="uvloop",
            http="httptools",
            ws="none",
            log_config=None,  # Django's LOGGING holds
            access_log=options["access_log"],
            server_header=False,
            backlog=BACKLOG,
            workers=max(options["workers"], 1),
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
        )
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # what follows says it all
        logger.info("Serving at %s", address)
        try:
            _run(config, listener)
        finally:
            if options["uds"]:
                Path(options["uds"]).unlink(missing_ok=True)


def _run(config: uvicorn.Config, listener: socket.socket) -> None:
    if config.workers > 1:
        Multiprocess(config, sockets=[listener]).run()
        return
    server = Server(config)
    server.run(sockets=[listener])
    if not server.started:
        raise CommandError("The server could not start: see the lines above.")


def _require_redis() -> None:
    """Raise ``CommandError`` where Redis doesn't answer: no page could be live."""
    url = conf.redis_url
    try:
        with redis.Redis.from_url(
            url, socket_timeout=PING_SECONDS, socket_connect_timeout=PING_SECONDS
        ) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        raise CommandError(
            f"Redis does not answer at {masked_url(url)} ({error}). Start it, or set REDIS_URL to "
            "one that runs."
        ) from error


def _application() -> str:
    """
    Return the address of the site's ASGI application, as uvicorn's worker processes need it.

    Raises ``CommandError`` where it refuses to load.
    """
    name = getattr(settings, "ASGI_APPLICATION", None)
    if not name:
        raise CommandError("Set ASGI_APPLICATION in the settings: 'mysite.asgi.application'.")
    try:
        import_string(name)
    except ImproperlyConfigured as error:
        raise CommandError(str(error)) from error
    return ":".join(name.rsplit(".", 1))


def _listen(host: str, port: int, uds: str | None) -> tuple[socket.socket, str]:
    """Return a listening socket and its address for people, or raise ``CommandError``."""
    if uds:
        return _listen_on_path(Path(uds)), f"unix:{uds}"
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CommandError(
            f"Can't listen on {host} port {port}: {reason}. If another program has the port, stop "
            "it or choose another with PORT or --port."
        ) from error
    shown = f"[{host}]" if ":" in host else host
    return listener, f"http://{shown}:{listener.getsockname()[1]}/"


def _listen_on_path(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_dead_socket(path):
            path.unlink()
        listener.bind(str(path))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CommandError(f"Can't listen on {path}: {error.strerror or error}.") from error
    return listener


def _is_dead_socket(path: Path) -> bool:
    """Tell whether ``path`` is a socket that a killed server left behind."""
    if not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) != 0


def _exit_quietly(sig: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _exit_now() -> NoReturn:
    logger.warning("A request is still running: ending without it")
    sys.stdout.flush()
    os._exit(0)
