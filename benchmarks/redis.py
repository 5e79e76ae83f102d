"""
A Redis for one contender, set up as the site sets up its own: append-only file, fsync each second.
"""

import shutil
import socket
import tempfile
from pathlib import Path

import redis

from project import redis_server
from project.redis_url import default_socket_path
from tests.support.processes import Process
from tests.support.waiting import wait_until


class Redis:
    """A Redis on a Unix socket; where ``port`` is given also on loopback, for nginx's sake."""

    def __init__(self, port: int = 0) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="bench-redis-"))
        self.socket = default_socket_path(self.directory)
        self.url = f"unix://{self.socket}"
        self.port = port
        command = redis_server.command(redis_server.find_program(), self.directory)
        if port:
            command += ["--port", str(port), "--bind", "127.0.0.1"]
        self._process = Process("redis", command, self.directory / "log")
        wait_until(self._answers, 20, lambda: f"an answer of Redis:\n{self._process.output}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.url)

    def close(self) -> None:
        self._process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def free_port() -> int:
    """Return a loopback port that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
