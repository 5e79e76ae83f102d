"""The real site as processes: `manage.py serve` on free ports, a Celery worker, a Redis and a
database of its own.
"""

import fcntl
import itertools
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from tests.support.postgres import PostgresCluster
from tests.support.processes import ROOT, Process, environment
from tests.support.redis import RedisServer
from tests.support.shell import Shell
from tests.support.visitor import Visitor

SETTINGS = "tests.support.site_settings"

# "user-1" and so on: each test takes fresh ones, so that tests don't see each other's data.
ACCOUNTS = 1000

# All of these accounts share one hash: the password is "password".
MAKE_ACCOUNTS = f"""
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from project.demo import make_accounts
make_accounts()
password = make_password("password")
User.objects.bulk_create(
    User(username=f"user-{{n}}", password=password) for n in range(1, {ACCOUNTS} + 1)
)
"""


class Databases:
    """Databases with the site's tables and accounts: migrated once per engine, then copied.

    Test processes that are given the same `directory` share what is made there for SQLite.
    """

    def __init__(
        self, postgres: PostgresCluster | None = None, directory: Path | None = None
    ) -> None:
        self._own = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="carillon-db-"))
        self._postgres = postgres
        self._postgres_is_ready = False

    def create(self, engine: str, var_dir: Path) -> str:
        """Return the `DATABASE_URL` of a fresh database; "" for SQLite in `var_dir`."""
        if engine == "sqlite":
            shutil.copy(self.sqlite(), var_dir / "db.sqlite3")
            return ""
        if not self._postgres_is_ready:
            self._cluster.drop_database("template_site")  # of an attempt that failed
            self._migrate(self.directory, self._cluster.create_database("template_site"))
            self._postgres_is_ready = True
        return self._cluster.create_database(f"site_{uuid.uuid4().hex}", "template_site")

    def sqlite(self) -> Path:
        """Return the file to copy."""
        made = self.directory / "migrated.sqlite3"
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                with tempfile.TemporaryDirectory(dir=self.directory) as var_dir:
                    self._migrate(Path(var_dir), "")
                    (Path(var_dir) / "db.sqlite3").rename(made)
        return made

    def drop(self, url: str) -> None:
        if url:
            self._cluster.drop_database(url.rpartition("/")[2])

    def close(self) -> None:
        if self._own:
            shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def _cluster(self) -> PostgresCluster:
        assert self._postgres is not None, "These databases were made without PostgreSQL"
        return self._postgres

    def _migrate(self, var_dir: Path, url: str) -> None:
        env = environment(
            DJANGO_SETTINGS_MODULE=SETTINGS,
            VAR_DIR=str(var_dir),
            DATABASE_URL=url,
            SECRET_KEY="tests",
        )
        for arguments in (("migrate", "--verbosity=0"), ("shell", "-c", MAKE_ACCOUNTS)):
            _manage(env, *arguments)


class Site:
    """The site, running: some web processes, some workers, one Redis, one database."""

    def __init__(
        self,
        databases: Databases,
        engine: str = "sqlite",
        *,
        webs: int = 1,
        workers: int = 0,
        env: dict[str, str] | None = None,
    ) -> None:
        self.engine = engine
        self.var_dir = Path(tempfile.mkdtemp(prefix="carillon-site-"))
        self._databases = databases
        try:
            self.database_url = databases.create(engine, self.var_dir)
            self.redis = RedisServer()
        except BaseException:
            shutil.rmtree(self.var_dir, ignore_errors=True)
            raise
        self.env = environment(
            **{
                "DJANGO_SETTINGS_MODULE": SETTINGS,
                "VAR_DIR": str(self.var_dir),
                "DATABASE_URL": self.database_url,
                "REDIS_URL": self.redis.url,
                "SECRET_KEY": "tests",
                **(env or {}),
            }
        )
        self.webs: list[Process] = []
        self.base_urls: list[str] = []
        self.workers: list[Process] = []
        self._shell: Shell | None = None
        self._usernames = (f"user-{n}" for n in range(1, ACCOUNTS + 1))
        self._visitors: dict[str, Visitor] = {}
        self._numbers = itertools.count(1)
        try:
            for _ in range(webs):
                self._spawn_web()
            for _ in range(workers):
                self._spawn_worker()
            for web in self.webs:
                self._wait_for_web(web)
            for worker in self.workers:
                worker.wait_for_output(" ready.")
        except BaseException:
            self.close()
            raise

    @property
    def base_url(self) -> str:
        return self.base_urls[0]

    def start_web(self, *options: str) -> str:
        """Start one more web process, with options of `serve`, and return its base URL."""
        return self._wait_for_web(self._spawn_web(*options))

    def start_worker(self) -> Process:
        worker = self._spawn_worker()
        worker.wait_for_output(" ready.")
        return worker

    def new_user(self) -> str:
        """Return the name of an account that no test has used yet; its password is "password"."""
        return next(self._usernames)

    def login(self, username: str | None = None) -> Visitor:
        """Return somebody logged in, through the site's form, as `username` or a new user."""
        username = username or self.new_user()
        password = "password" if username.startswith("user-") else username
        if username not in self._visitors:
            self._visitors[username] = Visitor(self.base_url).login(username, password)
        return self._visitors[username].at(self.base_url)

    def fresh_login(self, username: str) -> Visitor:
        """Return the same person in another browser: a session of its own."""
        password = "password" if username.startswith("user-") else username
        return Visitor(self.base_url).login(username, password)

    def shell(self, code: str) -> str:
        """Run Python code in the site's shell, a process that serves nothing, e.g. to publish."""
        if self._shell is None:
            self._shell = Shell("shell", self.var_dir / "shell.log", self.env)
        return self._shell.run(code).strip()

    def open_streams(self, user: str) -> int:
        """Return how many streams the processes hold for the user with this primary key."""
        anybody = Visitor(self.base_url)
        path = f"/open-streams/{user}/"
        return sum(int(anybody.at(base_url).get(path).text) for base_url in self.base_urls)

    @property
    def logs(self) -> str:
        """What all processes have printed, for a failed test's report."""
        return "\n".join(f"--- {p.name}\n{p.output}" for p in (*self.webs, *self.workers))

    def close(self) -> None:
        if self._shell is not None:
            self._shell.close()
        for process in (*self.webs, *self.workers):
            process.stop()
        self._databases.drop(self.database_url)
        self.redis.close()
        shutil.rmtree(self.var_dir, ignore_errors=True)

    def _spawn_web(self, *options: str) -> Process:
        command = [sys.executable, "manage.py", "serve", *(options or ("--port", "0"))]
        self.webs.append(self._spawn("web", command))
        return self.webs[-1]

    def _wait_for_web(self, web: Process) -> str:
        line = web.wait_for_output("Serving at ")
        self.base_urls.append(line.rpartition("Serving at ")[2].rstrip("/"))
        return self.base_urls[-1]

    def _spawn_worker(self) -> Process:
        command = [sys.executable, "-m", "celery", "-A", "project", "--quiet", "worker"]
        command += ["--pool=prefork", "--concurrency=2", "--without-gossip", "--without-mingle"]
        self.workers.append(self._spawn("worker", command))
        return self.workers[-1]

    def _spawn(self, kind: str, command: list[str]) -> Process:
        name = f"{kind}-{next(self._numbers)}"
        return Process(name, command, self.var_dir / f"{name}.log", self.env)


def _manage(env: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, (
        f"manage.py {arguments[0]}: {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return done.stdout
