"""A throw-away Redis on a Unix socket."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import redis

from project.redis_server import find_program
from tests.support.processes import Process
from tests.support.waiting import wait_until


class RedisServer:
    """A real Redis of the tests' own. It keeps an append-only file, so that `restart()` brings its
    data back.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="carillon-redis-"))
        self.socket = self.directory / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._program = find_program()
        self.start()

    def start(self) -> None:
        command = [
            self._program,
            "--port",
            "0",
            "--unixsocket",
            str(self.socket),
            "--dir",
            str(self.directory),
        ]
        command += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        self._process = Process("redis", command, self.directory / "log")
        wait_until(self._answers, 20, lambda: f"an answer of Redis:\n{self._process.output}")

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.stop(signal.SIGKILL)

    def restart(self) -> None:
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop it as a hanging machine would: connections stay, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def client(self) -> "redis.Redis":
        """Return a client that the caller closes (`with server.client() as redis:`)."""
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def flush(self) -> None:
        with self.client() as client:
            client.flushall()

    def close(self) -> None:
        self._process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _answers(self) -> bool:
        if self._process.returncode is not None:
            raise AssertionError(f"Redis ended at once:\n{self._process.output}")
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
