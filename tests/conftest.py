"""Fixtures for all tests. Everything is real; what is missing on the machine is an error, not a
skip.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import PostgresCluster
from tests.support.redis import RedisServer
from tests.support.site import Databases, Site

TESTS = Path(__file__).resolve().parent
KINDS = ("unit", "integration", "browser", "faults")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its kind, the name of its directory: `pytest -m unit`."""
    for item in items:
        kind = item.path.relative_to(TESTS).parts[0]
        if kind in KINDS:
            item.add_marker(kind)


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

    def __init__(self, request: pytest.FixtureRequest, stack: ExitStack) -> None:
        self._request = request
        self._stack = stack
        self._made: dict[str, Databases] = {}

    def __getitem__(self, engine: str) -> Databases:
        if engine not in self._made:
            postgresql = engine == "postgresql"
            cluster = self._request.getfixturevalue("postgres") if postgresql else None
            databases = Databases(cluster)
            self._stack.callback(databases.close)
            self._made[engine] = databases
        return self._made[engine]


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Iterator[_LazyDatabases]:
    with ExitStack() as stack:
        yield _LazyDatabases(request, stack)


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


@pytest.fixture
def make_site(databases: _LazyDatabases) -> Iterator[Callable[..., Site]]:
    """Make sites of the test's own: `make_site(webs=2, workers=1, engine="sqlite", env={…})`."""
    with ExitStack() as stack:

        def make(engine: str = "sqlite", **options: Any) -> Site:
            site = Site(databases[engine], engine, **options)
            stack.callback(site.close)
            return site

        yield make
