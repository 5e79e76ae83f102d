"""`manage.py up` as `make run` calls it, with a VAR_DIR and a port of its own."""

import shutil
import socket
import sys
import tempfile
from pathlib import Path

from tests.support.processes import Process, environment, processes_with

#: Shown when the site answers.
UP = "Carillon is up"


class Up:
    def __init__(self, database: Path | None = None, **variables: str) -> None:
        """With `database`, an SQLite file, this is not its first start."""
        self.var_dir = Path(tempfile.mkdtemp(prefix="carillon-up-"))
        if database is not None:
            shutil.copy(database, self.var_dir / "db.sqlite3")
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._variables = {
            "VAR_DIR": str(self.var_dir),
            "PORT": str(self.port),
            "DEMO": "1",
            **variables,
        }
        self._runs = 0

    def start(self) -> Process:
        self._runs += 1
        command = [sys.executable, "manage.py", "up"]
        env = environment(**self._variables)
        self.process = Process("up", command, self.var_dir / f"up-{self._runs}.log", env)
        return self.process

    @property
    def children(self) -> list[str]:
        """All processes of this site but the supervisor, as "pid: command"."""
        own = f"{self.process.pid}: "
        return [line for line in processes_with(str(self.var_dir)) if not line.startswith(own)]

    def child(self, text: str) -> int:
        """Return the oldest process whose command contains `text`."""
        return min(int(line.split(":")[0]) for line in self.children if text in line)

    def close(self) -> None:
        self.process.stop(seconds=30)
        shutil.rmtree(self.var_dir, ignore_errors=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
