"""A throw-away PostgreSQL cluster, reached through a Unix socket only."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from tests.support.processes import Process, environment
from tests.support.waiting import wait_until

# What survives a power cut; of the tests' own data nothing must.
DURABLE = ("shared_buffers=128MB",)
QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB")


class PostgresCluster:
    """PostgreSQL refuses to run as root: then it runs as the user `postgres`, which its package
    makes.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._options: dict[str, Any] = {}
        self.directory = Path(tempfile.mkdtemp(prefix="carillon-pg-"))
        if os.geteuid() == 0:
            self._options = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self.directory, "postgres", "postgres")
        programs, data = _programs(), self.directory / "data"
        initdb = [programs / "initdb", "-D", data, "-U", "carillon", "--auth=trust", "--no-sync"]
        initdb += ["--encoding=UTF8", "--locale=C"]
        done = subprocess.run(
            initdb,
            capture_output=True,
            text=True,
            cwd=self.directory,
            env=environment(),
            **self._options,
        )
        assert done.returncode == 0, done.stderr
        command = [str(programs / "postgres"), "-D", str(data), "-k", str(self.directory)]
        for setting in ("listen_addresses=", *(DURABLE if durable else QUICK)):
            command += ["-c", setting]
        log = self.directory / "log"
        self._process = Process(
            "postgres", command, log, environment(), self.directory, **self._options
        )
        wait_until(self._answers, 30, lambda: f"an answer of PostgreSQL:\n{self._process.output}")

    def create_database(self, name: str, template: str = "template0") -> str:
        """Make a database, as a copy of `template`, and return its `DATABASE_URL`."""
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def url(self, name: str) -> str:
        return f"postgresql://carillon@{quote(str(self.directory), safe='')}/{name}"

    def close(self) -> None:
        self._process.stop(signal.SIGQUIT)  # at once: nothing is kept
        shutil.rmtree(self.directory, ignore_errors=True)

    def _execute(self, statement: str) -> None:
        with psycopg.connect(
            host=str(self.directory), user="carillon", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement)

    def _answers(self) -> bool:
        if self._process.returncode is not None:
            raise AssertionError(f"PostgreSQL ended at once:\n{self._process.output}")
        try:
            self._execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def _programs() -> Path:
    """Return the directory of the newest PostgreSQL's programs. Debian keeps them off PATH."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0))
    program = shutil.which("initdb")
    assert program, (
        "PostgreSQL is missing: apt-get install postgresql (`make test` does so where it may)"
    )
    return Path(program).resolve().parent
