"""Many streams at once: what the tests of the rules under load share."""

import asyncio
import resource
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from tests.support.streams import Stream

OPENING_AT_ONCE = 100
FILES = 8192  # descriptors: of this process, and of each that it starts


def allow_many_files() -> None:
    """Raise this process's limit, which its children inherit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))


@asynccontextmanager
async def opened(streams: Iterable[Stream]) -> AsyncIterator[list[Stream]]:
    """Open all of the streams, and close them at the end."""
    slots = asyncio.Semaphore(OPENING_AT_ONCE)
    all_streams = list(streams)

    async def open_one(stream: Stream) -> None:
        async with slots:
            await stream.open()
            await stream.wait_for_type("stream-open", seconds=60)

    async with AsyncExitStack() as stack:
        for stream in all_streams:
            stack.push_async_callback(stream.close)
        await asyncio.gather(*map(open_one, all_streams))
        yield all_streams


def texts(stream: Stream, type: str = "note") -> list[str]:
    return [event.json["text"] for event in stream.of_type(type)]
