"""One run of the whole site: its programs, in the order in which they need each other."""

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Final

import redis
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import Error as DatabaseError
from django.db import connection

from project import demo, redis_server
from project.console import Console
from project.redis_server import RedisUnavailable
from project.redis_url import default_redis_url
from project.security import is_loopback
from project.supervisor import Program, Supervisor, ending

WORKER_PROCESSES: Final = 2
REDIS_START_SECONDS: Final = 30.0  # an append-only file of some 100 MB loads in a few seconds
SITE_START_SECONDS: Final = 60.0
LEFTOVER_SECONDS: Final = 10.0  # for the Redis of a killed site to write its file and end

# How each is ended. A worker first lets its tasks finish; SIGQUIT then makes it give back their
# messages, which the worker of the next start takes up again.
STOP_WEB: Final = ((signal.SIGTERM, 7.0),)
STOP_BEAT: Final = ((signal.SIGTERM, 5.0),)
STOP_WORKER: Final = ((signal.SIGTERM, 8.0), (signal.SIGQUIT, 5.0))
STOP_REDIS: Final = ((signal.SIGTERM, 10.0),)


class SiteFailed(Exception):
    """The site could not be started."""


class Site:
    """Starts the site's programs, and ends them all when one ends or a signal comes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._supervisor = Supervisor(str(settings.BASE_DIR), env, console.line)

    async def run(self) -> str | None:
        """Return None after a stop that was asked for, else what went wrong."""
        supervisor = self._supervisor
        supervisor.watch_signals()
        starting = asyncio.ensure_future(self._start())
        stopping = asyncio.ensure_future(supervisor.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                await starting
                await stopping
        except (RedisUnavailable, DatabaseError, CommandError, SiteFailed) as error:
            self._say("could not start")
            return str(error).strip()
        finally:
            starting.cancel()
            self._say(f"{supervisor.signalled}: stopping" if supervisor.signalled else "stopping")
            await supervisor.stop()
            self._say("stopped")
        if supervisor.failed:
            name, code = supervisor.failed
            return (
                f"{name} ended by itself ({ending(code)}), so the whole site was stopped. "
                f"See the lines of {name} above."
            )
        return None

    async def _start(self) -> None:
        started = time.monotonic()
        await self._start_redis()
        # In a thread, so that a signal is heard meanwhile, and because Django refuses a database in
        # an event loop.
        await asyncio.to_thread(self._prepare_database)
        python = sys.executable
        celery = (python, "-m", "celery", "-A", "project", "--quiet")
        manage = (python, str(settings.BASE_DIR / "manage.py"))
        web = (*manage, "serve", "--host", settings.HOST, "--port", str(settings.PORT))
        worker = (
            *(*celery, "worker", "--pool", "prefork", "--concurrency", str(WORKER_PROCESSES)),
            *("--without-gossip", "--without-mingle"),
        )
        beat = (*celery, "beat", "--pidfile=")
        await self._supervisor.start(Program("web", web, STOP_WEB))
        await self._supervisor.start(Program("worker", worker, STOP_WORKER))
        await self._supervisor.start(Program("beat", beat, STOP_BEAT))
        await self._wait_for_web()
        self._announce(time.monotonic() - started)

    async def _start_redis(self) -> None:
        if default_redis_url(settings.VAR_DIR) != settings.REDIS_URL:
            await asyncio.to_thread(redis_server.ping, settings.REDIS_URL)
            self._say("Redis answers at REDIS_URL")
            return
        await asyncio.to_thread(_end_leftover_redis, settings.REDIS_URL)
        program = await asyncio.to_thread(redis_server.find_program)
        version = ".".join(map(str, redis_server.program_version(program)))
        self._say(f"starting {program} ({version})")
        command = redis_server.command(program, settings.VAR_DIR)
        await self._supervisor.start(Program("redis", command, STOP_REDIS, stage=1))
        await self._wait_for_redis()

    async def _wait_for_redis(self) -> None:
        deadline = time.monotonic() + REDIS_START_SECONDS
        while True:
            try:
                return await asyncio.to_thread(redis_server.ping, settings.REDIS_URL, 0.5)
            except RedisUnavailable:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.05)

    def _prepare_database(self) -> None:
        try:
            call_command("migrate", interactive=False, verbosity=0)
            if settings.DEMO and is_loopback(settings.HOST):
                demo.make_accounts()
        finally:
            connection.close()

    async def _wait_for_web(self) -> None:
        """Return when the web server answers a request."""
        deadline = time.monotonic() + SITE_START_SECONDS
        while not await _answers(settings.HOST, settings.PORT):
            if time.monotonic() > deadline:
                raise SiteFailed(
                    f"The web server did not answer within {SITE_START_SECONDS:.0f} s."
                )
            await asyncio.sleep(0.1)

    def _announce(self, seconds: float) -> None:
        lines = [f"Carillon is up after {seconds:.1f} s: {_address(settings.HOST, settings.PORT)}"]
        if settings.DEMO:
            lines += ["Demo accounts (the password is the name):"]
            lines += [f"    {name:<8} {what}" for name, what in demo.ACCOUNTS.items()]
        lines += ["Ctrl-C stops it."]
        for line in ["", *lines, ""]:
            self._say(line)

    def _say(self, text: str) -> None:
        self._console.line("system", text)


def _end_leftover_redis(url: str) -> None:
    """End the Redis that a killed site left on our socket: nobody would end it later.

    The caller holds the lock of VAR_DIR, so that it can't be the Redis of a running one.
    """
    try:
        redis_server.ping(url)
    except RedisUnavailable:
        return
    with suppress(redis.RedisError):
        redis.Redis.from_url(url, socket_timeout=LEFTOVER_SECONDS).shutdown()
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while time.monotonic() < deadline:
        try:
            redis_server.ping(url)
        except RedisUnavailable:
            return
        time.sleep(0.1)
    raise RedisUnavailable(
        f"A Redis of an earlier run still answers at {url} and does not end. Stop it."
    )


async def _answers(host: str, port: int) -> bool:
    """Tell whether a web server answers there with anything but an error of its own."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(target, port)
            try:
                writer.write(
                    b"GET /login/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return status.startswith(b"HTTP/1.1 ") and not status.startswith(b"HTTP/1.1 5")


def _address(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
