"""`manage.py up`: the whole site under one supervisor. `make run` calls it."""

import asyncio
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from project.console import Console
from project.running import Site
from project.security import refuse_default_secret_key, refuse_public_demo


class Command(BaseCommand):
    help = "Run the whole site: Redis, worker, beat and web server. Ctrl-C ends all of them."
    requires_system_checks: list[str] = []  # `migrate` runs them

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            refuse_default_secret_key()
            refuse_public_demo(settings.HOST)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        with _only_one(settings.VAR_DIR):
            _require_free_port(settings.HOST, settings.PORT)
            failure = asyncio.run(Site(Console(sys.stdout)).run())
        if failure:
            raise CommandError(failure)


@contextmanager
def _only_one(var_dir: Path) -> Iterator[None]:
    """Hold the lock of `var_dir`, or raise `CommandError` where another `up` does."""
    with (var_dir / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CommandError(
                f"The site of {var_dir} is already up (process {lock.read().strip() or 'unknown'})."
                " Stop that one, or set VAR_DIR for a second site."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _require_free_port(host: str, port: int) -> None:
    """Raise `CommandError` where `serve` could not listen, before anything is started for it."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server((str(address[0]), int(address[1])), family=family).close()
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CommandError(
            f"Can't listen on {host} port {port}: {reason}. If another program has the port, stop "
            "it, or choose another port: PORT=8001 make run."
        ) from error
