"""
Connections to Redis: one client per process for synchronous code, one per event loop otherwise.

Nothing is ever tried a second time by the client itself: a publication whose answer got lost must
not happen twice, and a reader decides for itself when to try again.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from .conf import conf
from .exceptions import RedisUnavailable

# Readers of one process that wait for Redis at the same time; more of them queue.
ASYNC_POOL_SIZE = 8

_async_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, "redis.asyncio.Redis"]] = (
    WeakKeyDictionary()
)


def sync_client() -> "redis.Redis":
    """Return the process's client for tasks, requests and shells; safe in threads and forks."""
    return _sync_client(conf.redis_url, conf.redis_timeout_seconds)


@lru_cache(maxsize=8)
def _sync_client(url: str, timeout: float) -> "redis.Redis":
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )


def async_client() -> "redis.asyncio.Redis":
    """Return the running loop's client for reading; at most ``ASYNC_POOL_SIZE`` connections."""
    clients = _async_clients.setdefault(asyncio.get_running_loop(), {})
    url = conf.redis_url
    if url not in clients:
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url, max_connections=ASYNC_POOL_SIZE, timeout=None, **_async_options()
        )
        clients[url] = redis.asyncio.Redis.from_pool(pool)
    return clients[url]


async def close_async_clients() -> None:
    """Close the running loop's connections; the next ``async_client()`` opens new ones."""
    for client in _async_clients.pop(asyncio.get_running_loop(), {}).values():
        await client.aclose()


def async_connection() -> "redis.asyncio.Connection":
    """Return a new connection of its own, not yet connected, as the hub's listener needs it."""
    # It waits for messages without a limit; its owner watches whether the other side is alive.
    options = _async_options() | {"socket_timeout": None}
    pool = redis.asyncio.ConnectionPool.from_url(conf.redis_url, **options)
    connection: redis.asyncio.Connection = pool.make_connection()  # type: ignore[no-untyped-call]
    return connection


def _async_options() -> dict[str, Any]:
    timeout = conf.redis_timeout_seconds
    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": AsyncRetry(NoBackoff(), 0),
        "protocol": 2,
    }


@contextmanager
def redis_errors(
    what: str, error_class: type[RedisUnavailable] = RedisUnavailable
) -> Iterator[None]:
    """Turn what the client raises into ``error_class``, with the address and what to look at."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise error_class(
            f"{what}: Redis at {masked_url(conf.redis_url)} said: {error or type(error).__name__}. "
            "Check NOTIFICATIONS_REDIS_URL and that the server runs and takes writes."
        ) from error


def masked_url(url: str) -> str:
    """Return ``url`` without its password, fit for logs and messages."""
    parts = urlsplit(url)
    if not parts.password:
        return url
    netloc = f"{parts.username or ''}:***@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=netloc))
