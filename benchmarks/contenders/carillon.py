"""
Carillon: the whole site, with login, sessions in the database, permission checks and history.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from benchmarks.contenders.base import Contender
from tests.support.processes import ROOT, Process, environment

ACCOUNTS = 10_000
SECRET_KEY = "only for measuring"

# All streams of the burst belong to one user, as a channel of a user's is that user's alone.
STREAMS_PER_USER = 100_000


class Carillon(Contender):
    """`manage.py serve`, one process, SQLite; each stream has a session."""

    name: ClassVar[str] = "carillon"

    def start(self) -> Process:
        template = _database()
        shutil.copy(template / "db.sqlite3", self.directory / "db.sqlite3")
        self._sessions = (template / "sessions").read_text().split()
        command = [sys.executable, "manage.py", "serve", "--port", "0"]
        return Process(self.name, command, self.directory / "log", self._environment())

    def path(self, user: int) -> str:
        return "/events/"

    def headers(self, user: int) -> Sequence[str]:
        return [f"Cookie: sessionid={self._sessions[user - 1]}"]

    def publisher_environment(self) -> dict[str, str]:
        return self._environment()

    def _environment(self) -> dict[str, str]:
        return environment(
            VAR_DIR=str(self.directory),
            REDIS_URL=self.redis.url,
            SECRET_KEY=SECRET_KEY,
            NOTIFICATIONS_STREAMS_PER_USER=str(STREAMS_PER_USER),
        )


@lru_cache(maxsize=1)
def _database() -> Path:
    """Return a directory with a migrated database of accounts, made once per run."""
    directory = Path(tempfile.mkdtemp(prefix="bench-database-"))
    env = environment(VAR_DIR=str(directory), SECRET_KEY=SECRET_KEY)
    path = str(directory / "sessions")
    code = f"from benchmarks.contenders.accounts import make; make({ACCOUNTS}, {path!r})"
    for arguments in (("migrate", "--verbosity=0"), ("shell", "--verbosity=0", "-c", code)):
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return directory


def remove_database() -> None:
    if _database.cache_info().currsize:
        shutil.rmtree(_database(), ignore_errors=True)
        _database.cache_clear()
