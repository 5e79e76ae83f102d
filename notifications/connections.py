"""
Connections to Redis: a pool per process for synchronous code, single ones for an event loop.

Nothing is ever tried a second time by the client itself: a publication whose answer got lost must
not happen twice, and a reader decides for itself when to try again.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from .conf import conf
from .exceptions import RedisUnavailable
from .scripts import Script, Word, first_error

Item = TypeVar("Item")

BATCH_LENGTH = 500  # calls sent before the replies to those before them are read


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


def run(script: Script, keys: Sequence[str], args: Sequence[Word]) -> Any:
    """Run a script in one round trip, and return its reply."""
    try:
        return exchange([script.call(keys, args)])[0]
    except NoScriptError:
        return exchange([script.whole(keys, args)])[0]


def run_many(script: Script, calls: Iterable[tuple[Sequence[str], Sequence[Word]]]) -> list[Any]:
    """
    Run a script with each of these keys and arguments, in order; return its replies.

    Redis works on one batch while the next is packed. An error ends it, but not what was on its
    way by then.
    """
    replies: list[Any] = []
    with _connection() as connection:
        # Each batch brings the script along: Redis may forget it between two of them.
        on_its_way = 0
        for batch in _batched(calls, BATCH_LENGTH):
            _send(connection, [script.load, *[script.call(keys, args) for keys, args in batch]])
            replies += _replies(connection, on_its_way)[1:]
            on_its_way = 1 + len(batch)
        replies += _replies(connection, on_its_way)[1:]
    return replies


def exchange(commands: Sequence[bytes]) -> list[Any]:
    """
    Send packed commands together and return their replies; raise the first error among them.

    This is what redis-py's own ``execute_command`` comes to without what it does for each call
    beside that, which takes more time than Redis does.
    """
    with _connection() as connection:
        _send(connection, commands)
        return _replies(connection, len(commands))


@contextmanager
def _connection() -> Iterator[Any]:
    """Lend a connection of the pool; one that was left in the middle of something is closed."""
    pool = sync_client().connection_pool
    connection: Any = pool.get_connection()
    try:
        yield connection
    except BaseException:
        connection.disconnect()  # or the next one to use it would read what is left
        raise
    finally:
        pool.release(connection)


def _send(connection: Any, commands: Sequence[bytes]) -> None:
    connection.send_packed_command([b"".join(commands)], check_health=False)


def _replies(connection: Any, count: int) -> list[Any]:
    replies = [_reply(connection) for _ in range(count)]
    if error := first_error(replies):
        raise error
    return replies


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


def async_connection() -> "redis.asyncio.Connection":
    """Return a new connection of its own, not yet connected, for a ``Link``."""
    pool = redis.asyncio.ConnectionPool.from_url(
        conf.redis_url,
        socket_timeout=None,  # it waits without a limit; its owner watches the other side
        socket_connect_timeout=conf.redis_timeout_seconds,
        retry=AsyncRetry(NoBackoff(), 0),
        protocol=2,
    )
    connection: redis.asyncio.Connection = pool.make_connection()  # type: ignore[no-untyped-call]
    return connection


@contextmanager
def redis_errors(
    what: str, error_class: type[RedisUnavailable] = RedisUnavailable
) -> Iterator[None]:
    """Turn what the client raises into ``error_class``, with the address and what to look at."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise error_class(
            f"{what}: Redis at {masked_url(conf.redis_url)} said: "
            f"{str(error) or type(error).__name__}. "
            "Check NOTIFICATIONS_REDIS_URL and that the server runs and takes writes."
        ) from error


def masked_url(url: str) -> str:
    """Return ``url`` without its password, fit for logs and messages."""
    parts = urlsplit(url)
    if not parts.password:
        return url
    netloc = f"{parts.username or ''}:***@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=netloc))


def _batched(items: Iterable[Item], length: int) -> Iterator[Sequence[Item]]:
    """Return ``items`` in parts, as ``itertools.batched`` does from Python 3.12 on."""
    iterator = iter(items)
    while batch := list(islice(iterator, length)):
        yield batch
