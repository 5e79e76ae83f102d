import tempfile
from pathlib import Path

import pytest
import redis
from kombu import Connection

from project.redis_url import celery_broker_url, default_redis_url, masked, socket_path
from tests.support.redis import RedisServer


def test_the_socket_lies_in_the_var_directory() -> None:
    assert default_redis_url(Path("/srv/carillon/var")) == "unix:///srv/carillon/var/redis.sock"


def test_a_path_with_a_space_survives_the_url() -> None:
    url = default_redis_url(Path("/srv/my site/var"))
    assert socket_path(url) == Path("/srv/my site/var/redis.sock")
    assert redis.Redis.from_url(url).connection_pool.connection_kwargs["path"] == (
        "/srv/my site/var/redis.sock"
    )


def test_a_long_path_gets_a_short_socket_that_is_always_the_same() -> None:
    long = Path("/srv") / ("x" * 100)
    url = default_redis_url(long)
    assert url == default_redis_url(long)
    assert url != default_redis_url(long / "other")
    assert len(str(socket_path(url))) < 100


def test_a_tcp_url_is_no_socket() -> None:
    assert socket_path("redis://localhost:6379/0") is None


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("redis://localhost:6379/2", "redis://localhost:6379/2"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=0"),
        ("unix:///run/redis.sock?db=3", "redis+socket:///run/redis.sock?virtual_host=3"),
        ("unix://:pw@/run/redis.sock", "redis+socket://:pw@/run/redis.sock?virtual_host=0"),
    ],
)
def test_celery_gets_the_url_in_its_own_form(url: str, broker: str) -> None:
    assert celery_broker_url(url) == broker


def test_celery_reaches_redis_through_the_socket(redis_server: RedisServer) -> None:
    with Connection(celery_broker_url(redis_server.url)) as connection:
        connection.ensure_connection(max_retries=1, timeout=5)
        connection.default_channel.client.set("through", "celery")
    with redis_server.client() as client:
        assert client.get("through") == b"celery"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:secret@localhost:6379/0", "redis://:***@localhost:6379/0"),
        ("rediss://user:s@cret@host/0", "rediss://user:***@host/0"),
        ("unix://:secret@/run/redis.sock", "unix://:***@/run/redis.sock"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_the_short_socket_does_not_depend_on_tmpdir(monkeypatch: pytest.MonkeyPatch) -> None:
    long = Path("/srv") / ("x" * 100)
    before = default_redis_url(long)
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert default_redis_url(long) == before
