"""Fixtures of the tests within this process."""

from collections.abc import Iterator

import pytest
from redis import Redis

from tests.support.redis import RedisServer


@pytest.fixture
def redis_client(live_redis: RedisServer) -> Iterator[Redis]:
    """A client of the Redis that the settings name; it starts empty."""
    with live_redis.client() as client:
        yield client
