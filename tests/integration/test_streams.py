"""
Streams over HTTP, from two web processes on one Redis: who gets in, and that all arrives.
"""

import asyncio
import json
import socket
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest

from notifications.views import CHANNELS_MAX
from tests.support.processes import Process
from tests.support.site import Site
from tests.support.streams import Stream
from tests.support.visitor import Visitor

SEND_EVENTS = """
from django_eventstream import send_event
for n in range({start}, {stop}):
    send_event("{channel}", "message", {{"n": n}})
"""


def send_events(site: Site, channel: str, start: int, stop: int):
    """Send from a process that serves nothing."""
    return asyncio.to_thread(
        site.shell, SEND_EVENTS.format(channel=channel, start=start, stop=stop)
    )


def channel_of(visitor) -> str:
    """Return the visitor's own channel, as the home page's cursor names it."""
    page = visitor.get("/").text
    return page.partition('data-cursor="')[2].partition('"')[0].rpartition(":")[0]


def streams_of(site: Site, visitor, count: int, **options) -> list[Stream]:
    """Return ``count`` streams of one user, spread over all the web processes."""
    bases = site.base_urls
    return [
        Stream(f"{bases[n % len(bases)]}/events/", visitor.cookie_header, **options)
        for n in range(count)
    ]


def numbers(stream: Stream) -> list[int]:
    return [event.json["n"] for event in stream.of_type("message")]


async def test_a_visitor_gets_a_short_refusal_and_no_stream(site):
    stream = Stream(f"{site.base_url}/events/")
    await stream.open()
    assert stream.status == 401
    assert stream.headers["content-type"].startswith("text/plain")
    assert stream.body == b"Log in to receive events.\n"
    await stream.close()


async def test_somebody_elses_channel_is_refused(site):
    mine, theirs = site.login(), site.login()
    stream = Stream(f"{site.base_url}/events/?channel={channel_of(theirs)}", mine.cookie_header)
    await stream.open()
    assert stream.status == 403
    await stream.close()


@pytest.mark.parametrize(
    ("query", "status"),
    [("channel=a%20b", 400), ("channel=%7Bx%7D", 400), ("channel=", 400), ("channel=admin", 403),
     ("&".join(f"channel=c{n}" for n in range(51)), 400)],
)  # fmt: skip
async def test_a_channel_that_can_not_be_is_a_plain_refusal(site, query, status):
    stream = Stream(f"{site.base_url}/events/?{query}", site.login().cookie_header)
    await stream.open()
    assert stream.status == status
    await stream.close()


async def test_a_refused_channel_beside_ones_own_is_left_out_and_named(site):
    mine, theirs = site.login(), site.login()
    own, foreign = channel_of(mine), channel_of(theirs)
    url = f"{site.base_url}/events/?channel={own}&channel={foreign}&channel=nobodys"
    async with Stream(url, mine.cookie_header) as stream:
        assert stream.status == 200
        reset = await stream.wait_for_type("stream-reset")
        assert reset.json == {"channels": ["nobodys", foreign]}
        await send_events(site, foreign, 0, 3)
        await send_events(site, own, 3, 6)
        await stream.wait_for_type("message", 3)
        assert numbers(stream) == [3, 4, 5]
        assert all(foreign not in (event.id or "") for event in stream.events)


async def test_ones_own_channel_opens_no_stream_to_whoever_names_refused_ones_only(site):
    stream = Stream(f"{site.base_url}/events/?channel=nobodys", site.login().cookie_header)
    await stream.open()
    assert (stream.status, stream.body) == (403, b"You may not read this channel.\n")
    await stream.close()


async def test_a_stream_takes_fifty_channels_with_long_names_and_no_more(site):
    visitor = site.login()
    own = channel_of(visitor)
    names = [own, *(f"job-{uuid4()}" for _ in range(CHANNELS_MAX - 1))]
    cursor = ",".join(f"{name}:1234567890123456" for name in names)

    def url(*more: str) -> str:
        channels = "&".join(f"channel={name}" for name in [*names, *more])
        return f"{site.base_url}/events/?lastEventId={quote(cursor)}&{channels}"

    async with Stream(url(), visitor.cookie_header) as stream:
        assert len(stream.url) < 8000  # what proxies take
        assert stream.status == 200
        await stream.wait_for_type("stream-reset")
    stream = Stream(url("one-more"), visitor.cookie_header)
    await stream.open()
    assert (stream.status, stream.body) == (400, b"A stream can have 50 channels at most.\n")
    await stream.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_only_get_opens_a_stream(site, method):
    assert site.login().request(method, "/events/").status == 405


async def test_a_stream_is_not_cached_or_buffered_on_its_way(site):
    async with Stream(f"{site.base_url}/events/", site.login().cookie_header) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert "no-cache" in stream.headers["cache-control"]
        assert stream.headers["x-accel-buffering"] == "no"
        await stream.wait_for_type("stream-open")


@pytest.mark.parametrize(
    "cursor", ["garbage", "error", "user-1", "%%%", ",:,:,", "user-0:5", "ÿ" * 3000, "a:9" * 2000]
)
async def test_a_garbage_last_event_id_is_reset_and_never_an_error(site, cursor):
    async with Stream(
        f"{site.base_url}/events/",
        site.login().cookie_header,
        last_event_id=cursor.encode("latin1", "replace").decode("latin1"),
    ) as stream:
        assert stream.status == 200
        await stream.wait_for_type("stream-reset")


async def test_the_pages_cursor_leaves_no_gap_between_page_and_stream(site):
    visitor = site.login()
    page = visitor.get("/").text
    cursor = page.partition('data-cursor="')[2].partition('"')[0]
    channel = cursor.rpartition(":")[0]
    await send_events(site, channel, 0, 3)
    url = f"{site.base_url}/events/?lastEventId={cursor}"
    async with Stream(url, visitor.cookie_header) as stream:
        await stream.wait_for_type("message", 3)
        assert numbers(stream) == [0, 1, 2]
        assert "stream-reset" not in {event.type for event in stream.events}


async def test_200_messages_reach_50_streams_over_two_processes_in_order_and_once(site):
    visitor = site.login()
    channel = channel_of(visitor)
    async with AsyncExitStack() as stack:
        streams = streams_of(site, visitor, 50)
        for stream in streams:
            await stack.enter_async_context(stream)
            await stream.wait_for_type("stream-open")
        await send_events(site, channel, 0, 200)
        for stream in streams:
            await stream.wait_for_type("message", 200)
        await asyncio.sleep(0.3)  # one too many would come now
        assert [numbers(stream) for stream in streams] == [list(range(200))] * 50


async def test_streams_that_are_cut_in_the_middle_resume_without_loss_or_repetition(site):
    visitor = site.login()
    channel = channel_of(visitor)
    async with AsyncExitStack() as stack:
        streams = streams_of(site, visitor, 50)
        for stream in streams:
            await stack.enter_async_context(stream)
            await stream.wait_for_type("stream-open")
        sending = asyncio.create_task(send_events(site, channel, 0, 200))
        for index, stream in enumerate(streams):
            await stream.wait_for_type("message", 20 + index)
            await stream.reopen()
        await sending
        for stream in streams:
            await stream.wait_for_type("message", 200)
        await asyncio.sleep(0.3)
        assert [numbers(stream) for stream in streams] == [list(range(200))] * 50
        assert not any(stream.of_type("stream-reset") for stream in streams)


async def test_a_stream_may_resume_at_the_other_process(site):
    visitor = site.login()
    channel = channel_of(visitor)
    async with Stream(f"{site.base_urls[0]}/events/", visitor.cookie_header) as stream:
        await stream.wait_for_type("stream-open")
        await send_events(site, channel, 0, 2)
        await stream.wait_for_type("message", 2)
        await stream.close()
        await send_events(site, channel, 2, 4)
        stream.url = f"{site.base_urls[1]}/events/"
        await stream.open()
        await stream.wait_for_type("message", 4)
        assert numbers(stream) == [0, 1, 2, 3]


async def test_a_message_of_one_user_reaches_nobody_else(site):
    mine, theirs = site.login(), site.login()
    async with (
        Stream(f"{site.base_url}/events/", mine.cookie_header) as my_stream,
        Stream(f"{site.base_url}/events/", theirs.cookie_header) as their_stream,
    ):
        await my_stream.wait_for_type("stream-open")
        await their_stream.wait_for_type("stream-open")
        await send_events(site, channel_of(theirs), 0, 1)
        await their_stream.wait_for_type("message")
        assert my_stream.of_type("message") == []


def threads_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


async def test_open_streams_have_no_threads(site):
    visitor = site.login()
    async with AsyncExitStack() as stack:
        first = streams_of(site, visitor, 20)
        for stream in first:
            await stack.enter_async_context(stream)
        before = [threads_of(web.pid) for web in site.webs]
        for stream in streams_of(site, visitor, 100):
            await stack.enter_async_context(stream)
            await stream.wait_for_type("stream-open")
        # The pool that runs views may not have been full before, and sweeps have a thread.
        after = [threads_of(web.pid) for web in site.webs]
        assert all(now - then < 10 for now, then in zip(after, before, strict=True)), after


async def test_a_message_is_delivered_within_a_moment(site):
    visitor = site.login()
    channel = channel_of(visitor)
    code = f"""
import json, time
from notifications.publishing import publish
for _ in range(20):
    publish("{channel}", "message", {{"at": time.monotonic()}})
    time.sleep(0.02)
"""
    async with Stream(f"{site.base_url}/events/", visitor.cookie_header) as stream:
        await stream.wait_for_type("stream-open")
        await asyncio.to_thread(site.shell, code)
        await stream.wait_for_type("message", 20)
        delays = sorted(event.at - event.json["at"] for event in stream.of_type("message"))
        assert delays[10] < 0.25  # CLOCK_MONOTONIC is one for all processes of a machine


async def test_the_response_works_under_djangos_own_handler_too(make_site):
    """Unwrapped, a stream is an ordinary streaming response."""
    own = make_site(webs=0)
    (own.var_dir / "unwrapped.py").write_text(
        "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = Process(
        "unwrapped",
        [sys.executable, "-m", "uvicorn", "unwrapped:application", "--port", str(port),
         "--app-dir", str(own.var_dir), "--timeout-graceful-shutdown", "1"],
        own.var_dir / "unwrapped.log",
        own.env,
    )  # fmt: skip
    try:
        process.wait_for_output("Application startup complete")
        process.wait_for_output("running on")
        visitor = Visitor(f"http://127.0.0.1:{port}").login(own.new_user(), "password")
        channel = channel_of(visitor)
        async with Stream(f"{visitor.base_url}/events/", visitor.cookie_header) as stream:
            await stream.wait_for_type("stream-open")
            await send_events(own, channel, 0, 3)
            await stream.wait_for_type("message", 3)
    finally:
        process.stop()


async def test_a_process_that_is_full_sends_clients_away_for_a_while(make_site):
    own = make_site(webs=1, env={"NOTIFICATIONS_STREAMS_PER_PROCESS": "2"})
    streams = streams_of(own, own.login(), 3)
    async with streams[0], streams[1]:
        await asyncio.gather(*(stream.wait_for_type("stream-open") for stream in streams[:2]))
        await streams[2].open()
        assert streams[2].status == 503
        assert 5 <= int(streams[2].headers["retry-after"]) <= 15
        await streams[2].close()
    async with asyncio.timeout(10):  # what the others held is free again
        while streams[2].status != 200:
            await streams[2].reopen()
    await streams[2].wait_for_type("stream-open")
    await streams[2].close()


async def test_sigterm_ends_open_streams_at_once_with_a_time_to_come_back(make_site):
    own = make_site(webs=1)
    visitor = own.login()
    async with AsyncExitStack() as stack:
        streams = streams_of(own, visitor, 30)
        for stream in streams:
            await stack.enter_async_context(stream)
            await stream.wait_for_type("stream-open")
        started = time.monotonic()
        own.webs[0].stop()
        assert time.monotonic() - started < 5
        for stream in streams:
            await asyncio.wait_for(stream.ended.wait(), 1)
            assert stream.retry is not None


async def test_redis_away_pauses_the_page_and_its_return_makes_it_live(make_site):
    own = make_site(webs=1)
    visitor = own.login()
    channel = channel_of(visitor)
    async with Stream(f"{own.base_url}/events/", visitor.cookie_header) as stream:
        await stream.wait_for_type("stream-open")
        await send_events(own, channel, 0, 2)
        await stream.wait_for_type("message", 2)
        own.redis.kill()
        await stream.wait_for_type("stream-paused")
        started = time.monotonic()
        response = await asyncio.to_thread(visitor.get, "/")
        assert response.status == 200
        assert time.monotonic() - started < 5
        own.redis.start()
        await stream.wait_for_type("stream-live", seconds=6)
        await send_events(own, channel, 2, 4)
        await stream.wait_for_type("message", 4)
        assert numbers(stream) == [0, 1, 2, 3]
        assert len(stream.of_type("stream-reset")) == 1  # Redis may have forgotten something


def test_the_data_of_a_message_is_what_was_sent(site):
    """Kept here for its shape: one JSON object per event, whatever is in it."""
    visitor = site.login()
    channel = channel_of(visitor)
    texts = ["<b>", "line\nbreak", "größe", "\u2028", "🎐", '"quoted"', "data: x\n\n"]

    async def receive() -> list[str]:
        async with Stream(f"{site.base_url}/events/", visitor.cookie_header) as stream:
            await stream.wait_for_type("stream-open")
            code = f"""
import json
from notifications.publishing import publish
for text in json.loads({json.dumps(json.dumps(texts))}):
    publish("{channel}", "message", {{"text": text}})
"""
            await asyncio.to_thread(site.shell, code)
            await stream.wait_for_type("message", len(texts))
            return [event.json["text"] for event in stream.of_type("message")]

    assert asyncio.run(receive()) == texts
