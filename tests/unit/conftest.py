"""Fixtures of the tests within this process."""

import math
from collections.abc import Iterator

import pytest
from redis import Redis

from notifications import resets
from tests.support.redis import RedisServer


@pytest.fixture(autouse=True)
def _no_debts() -> Iterator[None]:
    """A test that took Redis away must not have its channels reset in the next one's Redis."""
    yield
    with resets._lock:
        resets._channels.clear()
        resets._owed_at = -math.inf


@pytest.fixture
def redis_client(live_redis: RedisServer) -> Iterator[Redis]:
    """A client of the Redis that the settings name; it starts empty."""
    with live_redis.client() as client:
        yield client
