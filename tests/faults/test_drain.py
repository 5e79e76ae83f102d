"""Rule 10: SIGTERM ends 2,000 streams within 5 s, and each goes on elsewhere without a loss."""

import asyncio
import itertools
import random
import signal
import sys
import time

import pytest

from notifications.publishing import publish
from tests.support.history_publisher import log_data
from tests.support.history_streams import opened, texts
from tests.support.processes import Process
from tests.support.streams import Stream
from tests.support.up import free_port

USERS = 20
DRAIN_SECONDS = 5.0
RESUME_SECONDS = 120.0  # for all of them, on a busy machine
SAY_SECONDS = 1.0  # between messages: 2,000 receivers in this process have their limits too
ENV = {"NOTIFICATIONS_STREAMS_PER_USER": "2000"}


def uvicorn(site) -> tuple[Process, str]:
    """Serve as anybody would without reading our manual."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "project.asgi:application", "--port", str(port)]
    process = Process("uvicorn", command, site.var_dir / "uvicorn.log", site.env)
    site.webs.append(process)  # ends with the site
    process.wait_for_output("Uvicorn running")
    return process, f"http://127.0.0.1:{port}"


def serve(site) -> tuple[Process, str]:
    return site.webs[-1], site.start_web("--port", "0")


def serve_two(site) -> tuple[Process, str]:
    url = site.start_web("--port", "0", "--workers", "2")
    return site.webs[-1], url


def started(site, how) -> tuple[Process, str]:
    process, url = how(site)
    return (site.webs[-1] if how is serve else process), url


# 2,000 in one process is what it must stand; each costs as much again where it resumes. That the
# other ways drain as well shows with fewer.
@pytest.mark.parametrize(("how", "count"), [(serve, 2_000), (serve_two, 500), (uvicorn, 500)])
async def test_sigterm_ends_all_streams_in_time_and_all_resume_without_loss(
    publish_to, channel_of, how, count
):
    site = publish_to(env=ENV)
    elsewhere = site.base_url
    process, url = await asyncio.to_thread(started, site, how)
    visitors = [await asyncio.to_thread(site.login) for _ in range(USERS)]
    channels = [channel_of(visitor) for visitor in visitors]
    streams = [
        Stream(f"{url}/events/", visitor.cookie_header)
        for visitor, _ in zip(itertools.cycle(visitors), range(count), strict=False)
    ]
    numbers = itertools.count()
    stop = asyncio.Event()

    def say() -> None:
        number = next(numbers)
        for channel in channels:
            publish(channel, "note", log_data(f"m{number}"))

    async def keep_saying() -> None:
        while not stop.is_set():
            await asyncio.to_thread(say)
            await asyncio.sleep(SAY_SECONDS)

    async with opened(streams):
        speaking = asyncio.create_task(keep_saying())
        await asyncio.gather(*(stream.wait_for_type("note") for stream in streams))

        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        resuming = [asyncio.create_task(resume(stream, elsewhere)) for stream in streams]
        while process.returncode is None and time.monotonic() - began < 3 * DRAIN_SECONDS:
            await asyncio.sleep(0.02)
        took = time.monotonic() - began
        assert process.returncode is not None, "It still runs"
        assert took < DRAIN_SECONDS, f"It took {took:.1f} s"
        # uvicorn hands the signal on to itself when it is done.
        assert process.returncode in (0, -signal.SIGTERM)

        retries = await asyncio.gather(*resuming)
        assert all(retry is not None for retry in retries), "Each was told when to come back"
        assert len(set(retries)) > count / 10, "and not all at the same time"
        stop.set()
        await speaking
        await asyncio.to_thread(say)
        last = next(numbers) - 1
        await asyncio.gather(
            *(
                stream.wait_for(
                    lambda events: any(f'"m{last}"' in event.data for event in events[-3:]), 30
                )
                for stream in streams
            )
        )
        for stream in streams:
            seen = texts(stream)
            first = int(seen[0][1:])
            assert seen == [f"m{n}" for n in range(first, last + 1)]
            assert not stream.of_type("stream-reset")


async def resume(stream: Stream, elsewhere: str) -> int | None:
    """Go on at another process when the stream ends, as a load balancer makes a browser do."""
    async with asyncio.timeout(30):
        await stream.ended.wait()
    retry = stream.retry
    await asyncio.sleep((retry or random.randint(0, 1000)) / 1000)
    stream.url = f"{elsewhere}/events/"
    # Whoever gives up and asks again only makes the queue longer: a browser waits.
    async with asyncio.timeout(RESUME_SECONDS):
        while True:
            try:
                await stream.reopen(RESUME_SECONDS)
            except OSError:
                await asyncio.sleep(0.5)
            else:
                return retry
