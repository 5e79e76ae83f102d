"""Redis comes back with older data: what nobody can see from the log, all streams learn.

With a real Redis and a real hub, without HTTP.
"""

import asyncio
import shutil
from pathlib import Path

import pytest
from django.test import override_settings

from notifications import storage
from notifications.hub import Hub
from tests.support.reader import CHANNEL, Reader, append, cursor_of
from tests.support.redis import RedisServer

READS_A_SECOND = 20  # of a hub at rest, at most


class Past:
    """A Redis with a copy of its data that it can be taken back to."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._copy = server.directory / "copy"

    def keep(self) -> None:
        self._copy.mkdir()
        for file in self._files():
            kept = self._copy / file.relative_to(self._server.directory)
            kept.parent.mkdir(exist_ok=True)
            shutil.copy(file, kept)

    def come_back(self) -> None:
        self._server.kill()
        for file in self._files():
            file.unlink()
        shutil.copytree(self._copy, self._server.directory, dirs_exist_ok=True)
        self._server.start()

    def _files(self) -> list[Path]:
        """The append-only file: several in a directory of their own since Redis 7."""
        directory = self._server.directory
        return [*directory.glob("appendonly*.aof"), *directory.glob("appendonlydir/*")]


@pytest.fixture
def past():
    server = RedisServer()
    with override_settings(NOTIFICATIONS_REDIS_URL=server.url):
        yield Past(server)
    server.close()


@pytest.fixture
async def hub(past):
    hub = Hub()
    yield hub
    await hub.close()


@pytest.fixture
async def read(hub):
    readers = []

    async def start(cursor=None):
        readers.append(Reader(hub, cursor))
        await readers[-1].until_type("stream-open")
        return readers[-1]

    yield start
    for reader in readers:
        await reader.close()


async def test_a_client_that_was_away_meanwhile_is_reset(past, read):
    cursor = append(text="kept")
    there = await read()
    past.keep()
    append(text="forgotten")
    await there.until_type("note")
    past.come_back()
    await there.until_type("stream-reset")
    append(text="after")
    back = await read(cursor_of(cursor))
    await back.until(lambda events: "after" in back.data())
    assert "stream-reset" in back.types()


async def test_a_client_is_reset_though_nobody_is_left_who_knew(past, hub):
    """Whoever had heard what is forgotten is gone, or has not come back yet."""
    cursor = append(text="kept")
    first = Reader(hub, cursor_of(cursor))
    await first.until_type("stream-open")
    await first.close()
    past.keep()
    append(text="forgotten")
    past.come_back()
    back = Reader(hub, cursor_of(cursor))
    try:
        await back.until_type("stream-reset")
        append(text="after")
        await back.until_type("note")
        assert back.data() == ["after"]
        again = back.events[-1].id
    finally:
        await back.close()
    since = int(again.partition(":")[2])
    later = Reader(hub, cursor_of(since))
    try:
        await later.until_type("stream-open")
        append(text="last")
        await later.until_type("note")
        assert "stream-reset" not in later.types()
    finally:
        await later.close()


async def test_a_stream_that_was_behind_meanwhile_is_reset(past, read):
    quick, slow = await read(), await read()
    slow.reading.clear()
    append(text="kept")
    await quick.until_type("note")
    past.keep()
    for _ in range(30):
        append(text="forgotten" + "." * 60_000)
    await quick.until_type("note", 31)
    past.come_back()
    await quick.until_type("stream-reset")
    slow.reading.set()
    append(text="after")
    await slow.until(lambda events: "after" in slow.data())
    assert slow.data() == ["kept", "after"]
    assert "stream-reset" in slow.types()


async def test_what_waited_for_a_read_that_failed_is_let_go(past, hub, read, monkeypatch):
    """Redis knows it no more, and would be asked for what came before it without end."""
    reads = 0
    released = asyncio.Event()
    released.set()
    aread = storage.aread

    async def counted(*arguments):
        nonlocal reads
        reads += 1
        await released.wait()
        return await aread(*arguments)

    reader = await read()
    past.keep()
    append(text="forgotten")
    await reader.until_type("note")
    monkeypatch.setattr(storage, "aread", counted)
    released.clear()
    hub._sync(hub._channels[CHANNEL])
    append(text="waits for that read")
    await asyncio.sleep(0.1)
    past.come_back()
    released.set()
    await reader.until_type("stream-live")
    reads = 0
    await asyncio.sleep(1)
    assert reads < READS_A_SECOND
