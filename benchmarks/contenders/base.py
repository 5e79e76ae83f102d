"""
What a scenario needs to know of a contender: its process, its address, its requests and its way in.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Self

from benchmarks.load.worker import Worker
from benchmarks.redis import Redis
from tests.support.processes import Process, environment


class Contender:
    """A server that runs for as long as the context lasts. Users are numbered from 1."""

    name: ClassVar[str]
    ready: ClassVar[str] = "event: stream-open"  # what a stream says when it is open

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"bench-{self.name}-"))
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
            self.redis = self.start_redis()
            stack.callback(self.redis.close)
            self.process = self.start()
            stack.callback(self.process.stop)
            self.port = self.wait_until_it_listens()
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    @property
    def pid(self) -> int:
        """The process that holds the streams."""
        return self.process.pid

    def start_redis(self) -> Redis:
        return Redis()

    def start(self) -> Process:
        raise NotImplementedError

    def wait_until_it_listens(self) -> int:
        """Return the port on loopback."""
        line = self.process.wait_for_output("http://127.0.0.1:")
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert found, line
        return int(found[1])

    def path(self, user: int) -> str:
        """Return path and query of the stream of a user's channel."""
        raise NotImplementedError

    def headers(self, user: int) -> Sequence[str]:
        return ()

    def publisher_environment(self) -> dict[str, str]:
        return {"REDIS_URL": self.redis.url}

    def channel(self, user: int) -> str:
        return f"user-{user}"

    def publisher(self) -> Worker:
        env = self.publisher_environment()
        return Worker("benchmarks.load.publisher", self.name, env=env)

    def opening(
        self, users: Sequence[int], cursors: Sequence[str] = (), **options: Any
    ) -> dict[str, Any]:
        """Return what the client's ``open`` takes to open a stream for each of ``users``."""
        defaults = {"window": 100, "seconds": 120}
        requests = [
            self._request(user, cursors[index] if cursors else "")
            for index, user in enumerate(users)
        ]
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "ready": self.ready,
            "requests": requests,
            **defaults,
            **options,
        }

    def _request(self, user: int, cursor: str) -> str:
        lines = [f"GET {self.path(user)} HTTP/1.1", "Host: 127.0.0.1", "Accept: text/event-stream"]
        lines += self.headers(user)
        if cursor:
            lines.append(f"Last-Event-ID: {cursor}")
        return "\r\n".join([*lines, "", ""])

    def spawn_uvicorn(self, application: str, **variables: str) -> Process:
        """Start uvicorn with the options that `manage.py serve` has."""
        command = [sys.executable, "-m", "uvicorn", application, "--port", "0", "--loop", "uvloop"]
        command += ["--http", "httptools", "--ws", "none", "--lifespan", "off", "--no-access-log"]
        command += ["--no-server-header", "--backlog", "2048"]
        env = environment(REDIS_URL=self.redis.url, **variables)
        return Process(self.name, command, self.directory / "log", env)
