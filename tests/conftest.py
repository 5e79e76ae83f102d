"""Fixtures for all tests. Everything is real; what is missing on the machine is an error, not a
skip.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.distribution import Scheduling, place_of
from tests.support.postgres import PostgresCluster
from tests.support.redis import RedisServer
from tests.support.site import Databases, Site

TESTS = Path(__file__).resolve().parent
KINDS = ("unit", "integration", "browser", "faults")

# Where the package is installed, pytest finds it by itself.
pytest_plugins = ["notifications.jobs.testing"]


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark each test with its kind, the name of its directory: `pytest -m unit`; and order them."""
    for item in items:
        kind = item.path.relative_to(TESTS).parts[0]
        if kind in KINDS:
            item.add_marker(kind)
    yield  # pytest has an order of its own
    items.sort(key=lambda item: place_of(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    return Scheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Add what the site's processes said to the report of a failed test."""
    # CPython before 3.11.9 raises SystemError out of `ast.parse`, which pytest shows failures with,
    # where the garbage collector reports an unclosed file in the middle of it.
    gc.disable()
    try:
        report = yield
    finally:
        gc.enable()
    if report.failed and isinstance(item, pytest.Function):
        for value in item.funcargs.values():
            if isinstance(value, Site):
                report.sections.append((f"the site on {value.engine}", value.logs[-20_000:]))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show what the history runs did, also those that were good."""
    reports = [
        text
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if getattr(report, "when", "") == "call"
        for name, text in report.user_properties
        if name == "history"
    ]
    if reports:
        terminalreporter.section("histories")
        for text in sorted(reports):
            terminalreporter.write_line(text)


@pytest.fixture(scope="session")
def _redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def redis_server(_redis_server: RedisServer) -> RedisServer:
    """An empty Redis that runs. A test may kill it: the next one gets it started again."""
    if not _redis_server.running:
        _redis_server.start()
    _redis_server.flush()
    return _redis_server


@pytest.fixture
def live_redis(redis_server: RedisServer, settings: Any) -> RedisServer:
    """`redis_server`, as the Redis of this process's settings."""
    settings.REDIS_URL = settings.NOTIFICATIONS_REDIS_URL = redis_server.url
    return redis_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    cluster = PostgresCluster()
    yield cluster
    cluster.close()


class _LazyDatabases:
    """Starts PostgreSQL only when a test asks for it."""

    def __init__(self, request: pytest.FixtureRequest, stack: ExitStack, directory: Path) -> None:
        self._request = request
        self._stack = stack
        self._directory = directory
        self._made: dict[str, Databases] = {}

    def __getitem__(self, engine: str) -> Databases:
        if engine not in self._made:
            postgresql = engine == "postgresql"
            cluster = self._request.getfixturevalue("postgres") if postgresql else None
            databases = Databases(cluster, self._directory)
            self._stack.callback(databases.close)
            self._made[engine] = databases
        return self._made[engine]


@pytest.fixture(scope="session")
def databases(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[_LazyDatabases]:
    directory = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        directory = directory.parent  # which all processes of this run have in common
    with ExitStack() as stack:
        yield _LazyDatabases(request, stack, directory)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, databases: _LazyDatabases) -> Iterator[Site]:
    """The site, shared by all tests: two web processes and a worker; each test on both databases.

    Take fresh users (`site.login()`, `site.new_user()`), and break nothing: `make_site` is for
    that.
    """
    # Some tests count what dozens of streams of one user get.
    env = {"NOTIFICATIONS_STREAMS_PER_USER": "200"}
    site = Site(databases[request.param], request.param, webs=2, workers=1, env=env)
    yield site
    site.close()


@contextmanager
def _sites(databases: _LazyDatabases) -> Iterator[Callable[..., Site]]:
    with ExitStack() as stack:

        def make(engine: str = "sqlite", **options: Any) -> Site:
            site = Site(databases[engine], engine, **options)
            stack.callback(site.close)
            return site

        yield make


@pytest.fixture
def make_site(databases: _LazyDatabases) -> Iterator[Callable[..., Site]]:
    """Make sites of the test's own: `make_site(webs=2, workers=1, engine="sqlite", env={…})`."""
    with _sites(databases) as make:
        yield make


@pytest.fixture(scope="class")
def make_site_of_class(databases: _LazyDatabases) -> Iterator[Callable[..., Site]]:
    """Make sites that the tests of a class share."""
    with _sites(databases) as make:
        yield make


@pytest.fixture(scope="module")
def make_site_of_module(databases: _LazyDatabases) -> Iterator[Callable[..., Site]]:
    """Make sites that the tests of a module share."""
    with _sites(databases) as make:
        yield make
