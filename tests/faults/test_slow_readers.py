"""Rule 8: a stream that takes nothing costs a bounded buffer, and nobody else notices."""

import asyncio
import random
import socket
import time
from pathlib import Path

import pytest

from notifications.publishing import publish
from tests.support.history import ClientHistory, Closed, Latest, Log, Saw
from tests.support.history_client import HistoryClient
from tests.support.history_publisher import latest_data, log_data
from tests.support.history_streams import opened, texts
from tests.support.streams import Stream

STALL_SECONDS = 3
LONG_SECONDS = 30  # where none may be cut off, however slow the machine
LARGE = "x" * 30_000
MUCH = 300  # large messages: far more than all buffers on the way take


@pytest.fixture
def site(publish_to, request):
    return publish_to(
        env={
            "NOTIFICATIONS_STALL_SECONDS": str(getattr(request, "param", STALL_SECONDS)),
            "NOTIFICATIONS_KEEP_ALIVE_SECONDS": "1",
            "NOTIFICATIONS_BUFFER_MAX_BYTES": "65536",
        }
    )


@pytest.fixture
async def reader(site, channel_of):
    visitor = site.login()
    client = HistoryClient(
        ClientHistory("slow", channel_of(visitor)),
        visitor.cookie_header,
        lambda: [site.base_url],
        random.Random(1),
    )
    client.start()
    async with asyncio.timeout(10):
        while not client.last_event_id:
            await asyncio.sleep(0.01)
    yield client
    await client.stop()


def resident_kilobytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("No VmRSS")


async def publish_much(channel: str, start: int = 0, count: int = MUCH) -> None:
    def work() -> None:
        for n in range(start, start + count):
            publish(channel, "note", log_data(f"m{n}", LARGE))
            publish(channel, "tick", latest_data("k", n), key="k")

    await asyncio.to_thread(work)


async def until(condition, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def of(client: HistoryClient, kind: type) -> list:
    return [entry for entry in client.history.entries if isinstance(entry, kind)]


@pytest.mark.parametrize("site", [LONG_SECONDS], indirect=True)
async def test_a_reader_that_pauses_is_caught_up_from_the_log(reader):
    with reader.reading_nothing():
        await publish_much(reader.history.channel)
    await until(lambda: len(of(reader, Log)) >= MUCH)
    assert [entry.text for entry in of(reader, Log)] == [f"m{n}" for n in range(MUCH)]
    assert of(reader, Closed) == []
    assert "stream-reset" not in {entry.type for entry in of(reader, Saw)}
    await until(lambda: of(reader, Latest)[-1:] and of(reader, Latest)[-1].number == MUCH - 1)
    numbers = [entry.number for entry in of(reader, Latest)]
    assert numbers == sorted(numbers)
    assert len(numbers) < MUCH, "Values that wait together are joined to the newest"


async def test_a_reader_that_takes_nothing_is_cut_off_and_resumes(reader):
    channel = reader.history.channel
    pausing = asyncio.create_task(reader.read_nothing_for(STALL_SECONDS * 3))
    await asyncio.sleep(0.1)
    await publish_much(channel)
    await pausing
    await until(lambda: len(of(reader, Log)) >= MUCH)
    assert [entry.why for entry in of(reader, Closed)] == ["broken"]
    assert [entry.text for entry in of(reader, Log)] == [f"m{n}" for n in range(MUCH)]


async def test_a_cut_off_reader_leaves_nothing_behind(site, channel_of):
    """The server closes its side within the stall time and a keep-alive, not when TCP gives up."""
    visitor = site.login()
    host, port = site.base_url.removeprefix("http://").split(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((host, int(port)))
        connection.sendall(
            f"GET /events/ HTTP/1.1\r\nHost: {host}\r\n"
            f"Cookie: {visitor.cookie_header}\r\n\r\n".encode()
        )
        before = await asyncio.to_thread(connection.recv, 20)
        assert before.startswith(b"HTTP/1.1 200")
        started = time.monotonic()
        await publish_much(channel_of(visitor))
        own = f":{connection.getsockname()[1]:04X} "
        await until(lambda: not established(own, int(port)), STALL_SECONDS + 4)
        assert time.monotonic() - started > STALL_SECONDS * 0.5


def established(own: str, port: int) -> bool:
    """Whether the server's side of the connection is still open."""
    for line in Path("/proc/net/tcp").read_text().splitlines():
        local, remote, state = line.split()[1:4]
        if local.endswith(f":{port:04X}") and f"{remote} ".endswith(own):
            return state == "01"
    return False


async def test_others_do_not_notice_and_memory_stays_bounded(site, channel_of):
    visitor = site.login()
    channel = channel_of(visitor)
    url = f"{site.base_url}/events/"
    slow_ones = [
        HistoryClient(
            ClientHistory(f"slow {n}", channel),
            visitor.cookie_header,
            lambda: [site.base_url],
            random.Random(n),
        )
        for n in range(15)
    ]
    async with opened([Stream(url, visitor.cookie_header) for _ in range(3)]) as quick:
        for client in slow_ones:
            client.start()
        await until(lambda: all(client.last_event_id for client in slow_ones))
        await publish_much(channel, 0, 20)  # the server has met such messages
        before = resident_kilobytes(site.webs[0].pid)
        pausing = [asyncio.create_task(c.read_nothing_for(60)) for c in slow_ones]
        await asyncio.sleep(0.1)
        peak = 0
        for start in range(20, 20 + MUCH, 30):
            await publish_much(channel, start, 30)
            published = time.monotonic()
            for stream in quick:
                await stream.wait_for(
                    lambda events, last=f"m{start + 29}": any(
                        last in event.data[:40] for event in events[-5:]
                    ),
                    5,
                )
            assert time.monotonic() - published < 2
            peak = max(peak, resident_kilobytes(site.webs[0].pid))
        for stream in quick:
            assert texts(stream) == [f"m{n}" for n in range(20 + MUCH)]
        # Each has a buffer of 64 KB here and one of the server's; 9 MB were published to it.
        assert peak - before < 15 * 2_000, f"{peak - before} KB more for 15 slow readers"
        for task in pausing:
            task.cancel()
        await asyncio.gather(*pausing, return_exceptions=True)
        for client in slow_ones:
            await client.stop()
