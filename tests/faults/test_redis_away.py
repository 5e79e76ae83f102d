"""Rule 11: whatever happens to Redis, streams stay open, say so, and go on within 5 s."""

import asyncio
import shutil
import time
from contextlib import asynccontextmanager

import pytest

from notifications.exceptions import PublishFailed
from notifications.publishing import publish
from tests.support.history_publisher import log_data
from tests.support.history_streams import opened, texts
from tests.support.streams import Stream

RECOVERY_SECONDS = 5.0
FREEZE_SECONDS = 20.0
STREAMS = 30
LATE_STREAMS = 300  # many more than there are connections to Redis to wait for
# Two pages that need no Redis; most of it is this machine's noise. An event loop that waits for
# Redis would take NOTIFICATIONS_REDIS_TIMEOUT_SECONDS, which is 2.
PAGE_SECONDS = 1.8
# Connecting, and the command: each may take that time.
PUBLISH_SECONDS = 5.0


@pytest.fixture(scope="module")
def site(publish_to_of_module):
    """One for all: a site that has lived through one fault lives through the next."""
    return publish_to_of_module(webs=2, env={"NOTIFICATIONS_STREAMS_PER_USER": "1000"})


@pytest.fixture
async def streams(site, channel_of):
    if not site.redis.running:
        site.redis.start()
    visitor = await asyncio.to_thread(site.login)
    bases = [site.base_urls[n % 2] for n in range(STREAMS)]
    made = [Stream(f"{base}/events/", visitor.cookie_header) for base in bases]
    async with opened(made):
        for stream in made:
            stream.channel = channel_of(visitor)
        yield made


@asynccontextmanager
async def pages_answer(site):
    """A page that needs no Redis comes quickly all the while: no event loop is blocked."""
    slowest = 0.0

    async def ask() -> None:
        nonlocal slowest
        visitors = [site.login("user-1").at(url) for url in site.base_urls]
        while True:
            for visitor in visitors:
                began = time.monotonic()
                response = await asyncio.to_thread(visitor.get, "/static/admin/css/base.css")
                assert response.status == 200
                response = await asyncio.to_thread(visitor.at(visitor.base_url).get, "/login/")
                assert response.status in (200, 302)
                slowest = max(slowest, time.monotonic() - began)
            await asyncio.sleep(0.1)

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)
    yield
    if asking.done():
        asking.result()
    asking.cancel()
    assert slowest < PAGE_SECONDS, f"A page took {slowest:.1f} s"


async def all_get(streams, text: str, seconds: float = RECOVERY_SECONDS) -> None:
    await asyncio.gather(
        *(
            stream.wait_for(lambda events: any(f'"{text}"' in e.data for e in events), seconds)
            for stream in streams
        )
    )


async def all_say(streams, type: str, seconds: float) -> None:
    await asyncio.gather(*(stream.wait_for_type(type, seconds=seconds) for stream in streams))


def count_of(streams, type: str) -> list[int]:
    return [len(stream.of_type(type)) for stream in streams]


def say(streams, text: str) -> None:
    publish(streams[0].channel, "note", log_data(text))


async def say_in_vain(streams) -> None:
    """An explicit publish raises a clear error in bounded time."""
    began = time.monotonic()
    with pytest.raises(PublishFailed, match="NOTIFICATIONS_REDIS_URL"):
        await asyncio.to_thread(say, streams, "in vain")
    assert time.monotonic() - began < PUBLISH_SECONDS


async def goes_on(streams) -> None:
    """All are live and get what is said, on the connection that they always had."""
    await asyncio.to_thread(say, streams, "after")
    await all_get(streams, "after")
    assert not any(stream.ended.is_set() for stream in streams)
    assert count_of(streams, "stream-open") == [1] * len(streams)
    for stream in streams:
        assert len(stream.of_type("stream-live")) == len(stream.of_type("stream-paused"))


async def test_redis_is_killed_and_restarted(site, streams):
    say(streams, "before")
    await all_get(streams, "before")
    async with pages_answer(site):
        await asyncio.to_thread(site.redis.kill)
        await all_say(streams, "stream-paused", 5)
        await say_in_vain(streams)
        await asyncio.to_thread(site.redis.start)
        await all_say(streams, "stream-live", RECOVERY_SECONDS)
        await goes_on(streams)
    assert [texts(stream) for stream in streams] == [["before", "after"]] * STREAMS
    assert count_of(streams, "stream-reset") == [1] * STREAMS  # it may have forgotten something


async def test_redis_hangs_for_20_seconds(site, streams):
    async with pages_answer(site):
        site.redis.freeze()
        try:
            thawing = asyncio.get_running_loop().time() + FREEZE_SECONDS
            await say_in_vain(streams)
            await all_say(streams, "stream-paused", 15)
            await asyncio.sleep(thawing - asyncio.get_running_loop().time())
        finally:
            site.redis.thaw()
        await all_say(streams, "stream-live", RECOVERY_SECONDS)
        await goes_on(streams)
    assert count_of(streams, "stream-reset") == [0] * STREAMS


async def test_streams_that_open_while_redis_hangs_say_that_they_are_paused(site, streams):
    late = [
        Stream(streams[n % 2].url, streams[0].cookie, f"{streams[0].channel}:1")
        for n in range(LATE_STREAMS)
    ]
    site.redis.freeze()
    try:
        await asyncio.gather(*(stream.open() for stream in late))
        await all_say(late, "stream-paused", 6)
    finally:
        site.redis.thaw()
    await all_say(late, "stream-open", RECOVERY_SECONDS)
    for stream in late:
        await stream.close()


async def test_pubsub_connections_are_killed(site, streams):
    async with pages_answer(site):
        with site.redis.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        say(streams, "meanwhile")
        await all_say(streams, "stream-live", RECOVERY_SECONDS)
        await all_get(streams, "meanwhile")
        await goes_on(streams)
    assert [texts(stream) for stream in streams] == [["meanwhile", "after"]] * STREAMS
    assert count_of(streams, "stream-reset") == [0] * STREAMS


async def test_everything_in_redis_is_flushed(site, streams):
    say(streams, "before")
    await all_get(streams, "before")
    async with pages_answer(site):
        site.redis.flush()
        await goes_on(streams)
        await all_say(streams, "stream-reset", RECOVERY_SECONDS)


async def test_redis_comes_back_with_older_data(site, streams):
    data, copy = site.redis.directory / "appendonlydir", site.var_dir / "older"
    say(streams, "kept")
    await all_get(streams, "kept")
    shutil.copytree(data, copy)
    say(streams, "forgotten")
    await all_get(streams, "forgotten")
    async with pages_answer(site):
        await asyncio.to_thread(site.redis.kill)
        shutil.rmtree(data)
        shutil.copytree(copy, data)
        await asyncio.to_thread(site.redis.start)
        await all_say(streams, "stream-reset", RECOVERY_SECONDS + 2)
        await goes_on(streams)


async def test_redis_refuses_writes(site, streams):
    async with pages_answer(site):
        with site.redis.client() as client:
            client.config_set("maxmemory", "1")
            await say_in_vain(streams)
            # One more can still open, and read.
            async with Stream(streams[0].url, streams[0].cookie) as late:
                await late.wait_for_type("stream-open")
                client.config_set("maxmemory", "0")
                await goes_on([*streams, late])
    assert count_of(streams, "stream-reset") == [0] * STREAMS
