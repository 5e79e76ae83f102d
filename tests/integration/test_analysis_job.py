"""The main job on real input: upload, live progress, result, over the real site and worker."""

import asyncio
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.site import Site
from tests.support.streams import Event, Stream
from tests.support.visitor import Response, Visitor
from tests.support.waiting import wait_until

JSON = {"Accept": "application/json"}
LICENCE = Path("/usr/share/common-licenses/GPL-3")
BOUNDARY = "a-line-that-no-file-here-has"

QUEUE_A_MISSING_FILE = """
from django.contrib.auth.models import User
from project.analysis.tasks import analyse_file
owner = User.objects.get(username="{username}")
print(analyse_file.apply_async(["missing", "lost.txt"], owner=owner, title="lost.txt").job.pk)
"""


def big_binary() -> bytes:
    """Return 20 MB or more of the Python that runs this and its libraries, as an archive is."""
    data = b""
    for path in sorted(Path(sys.prefix, "lib").rglob("*.so*")):
        data += path.read_bytes()
        if len(data) > 20_000_000:
            return data
    raise AssertionError("Too few shared libraries in this environment")


def wc(data: bytes) -> tuple[int, int]:
    env = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["wc", "-lw"], input=data, env=env, capture_output=True, check=True)
    lines, words = done.stdout.split()
    return int(lines), int(words)


def stored(site: Site) -> list[Path]:
    """Return the files of uploads that are on disk, complete or not."""
    return [path for path in (site.var_dir / "uploads").rglob("*") if path.is_file()]


def spooled(site: Site) -> int:
    """Return how many nameless files the web processes hold open where bodies are stored."""
    found = 0
    for web in site.webs:
        for entry in Path(f"/proc/{web.pid}/fd").iterdir():
            try:
                found += str(entry.readlink()).startswith(str(site.var_dir / "uploads"))
            except OSError:
                continue
    return found


def stream_of(visitor: Visitor, base_url: str) -> Stream:
    return Stream(f"{base_url}/events/", visitor.cookie_header)


async def upload(visitor: Visitor, name: str, content: bytes) -> str:
    """Upload a file as a script does; return the address of its job."""
    answer = await asyncio.to_thread(
        visitor.post, "/", files={"file": (name, content)}, headers=JSON
    )
    assert answer.status == 201, answer.text
    return str(answer.json()["url"])


def has_ended(events: list[Event]) -> list[Any]:
    jobs = [event.json for event in events if event.type == "job"]
    return [job for job in jobs if job["state"] in {"succeeded", "failed"}]


def multipart(size: int, piece: bytes = bytes(1 << 20)) -> tuple[int, Iterator[bytes]]:
    """Return the length and the pieces of a form with a file of `size` bytes, never held whole."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="big"\r\n\r\n'
    tail = f"\r\n--{BOUNDARY}--\r\n"

    def pieces() -> Iterator[bytes]:
        yield head.encode()
        for start in range(0, size, len(piece)):
            yield piece[: size - start]
        yield tail.encode()

    return len(head) + size + len(tail), pieces()


def send(visitor: Visitor, body: Iterable[bytes], length: int | None) -> Response:
    """Send a body piece by piece; without a length, in chunks. Reads the answer only after that."""
    visitor.get("/")
    headers = {
        "Cookie": visitor.cookie_header,
        "X-CSRFToken": visitor.cookies["csrftoken"],
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        **JSON,
    }
    if length is not None:
        headers["Content-Length"] = str(length)
    connection = http.client.HTTPConnection(urlsplit(visitor.base_url).netloc, timeout=60)
    try:
        connection.request("POST", "/", body, headers, encode_chunked=length is None)
        answer = connection.getresponse()
        return Response(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize("kind", ["text", "binary"])
async def test_a_file_is_analysed_live_and_its_figures_are_those_of_wc(
    site: Site, kind: str
) -> None:
    content = LICENCE.read_bytes() if kind == "text" else big_binary()
    visitor = site.login()
    async with stream_of(visitor, site.base_urls[1]) as stream:  # of the other web process
        await stream.wait_for_type("stream-open")
        url = await upload(visitor, f"some {kind}", content)
        await stream.wait_for(has_ended, 60)
        jobs = [event.json for event in stream.of_type("job")]

    assert {job["url"] for job in jobs} == {url}
    order = [(job["version"], job["tick"]) for job in jobs]
    assert order == sorted(set(order))
    states = list(dict.fromkeys(job["state"] for job in jobs))
    assert states == ["queued", "running", "succeeded"]
    counts = [job["current"] for job in jobs]
    assert counts == sorted(counts)
    last = jobs[-1]
    assert (last["title"], last["unit"]) == (f"some {kind}", "B")
    assert last["current"] == last["total"] == len(content)
    assert last["started"] < last["finished"]

    result = visitor.get(f"{url}result.json")
    assert result.headers["Content-Disposition"].startswith("attachment")
    figures = result.json()
    assert figures["sha256"] == hashlib.sha256(content).hexdigest()
    assert figures["size"] == len(content)
    assert (figures["lines"], figures["words"]) == wc(content)
    assert figures["encoding"] == ("us-ascii" if kind == "text" else "binary")
    assert figures["frequent_words"][:1] == ([["the", 345]] if kind == "text" else [])
    page = visitor.get(url)
    assert page.status == 200
    assert figures["sha256"] in page.text
    assert stored(site) == []


async def test_ticks_of_a_long_job_tell_bytes_rate_and_time_left(site: Site) -> None:
    content = LICENCE.read_bytes() * 3000  # some 100 MB: a rate means nothing in the first second
    visitor = site.login()
    async with stream_of(visitor, site.base_urls[1]) as stream:
        await stream.wait_for_type("stream-open")
        url = await upload(visitor, "long", content)
        await stream.wait_for(has_ended, 60)
        jobs = [event.json for event in stream.of_type("job")]
    ticks = [job for job in jobs if job["tick"]]
    assert all(job["total"] == len(content) for job in ticks)
    told = [job for job in ticks if job["rate"] and job["eta"] is not None]
    assert told, ticks
    # Within a factor, on a machine that has other things to do.
    seconds = visitor.get(f"{url}result.json").json()["seconds"]
    assert 0.2 < told[-1]["rate"] / (len(content) / seconds) < 5
    published = (ticks[-1]["tick"] - 1) / seconds
    assert published <= 11  # a second


async def test_another_user_sees_nothing_and_finds_nothing(site: Site) -> None:
    visitor, other = site.login(), site.login()
    async with stream_of(other, site.base_url) as theirs, stream_of(visitor, site.base_url) as mine:
        await theirs.wait_for_type("stream-open")
        await mine.wait_for_type("stream-open")
        url = await upload(visitor, "private.txt", b"secret")
        await mine.wait_for(has_ended)
        assert theirs.of_type("job") == []
    assert other.get(url).status == 404
    assert other.get(f"{url}result.json").status == 404
    for path in ("/", "/jobs/"):
        assert "private.txt" not in other.get(path).text
        assert "private.txt" in visitor.get(path).text


async def test_an_empty_file_has_a_result(site: Site) -> None:
    visitor = site.login()
    async with stream_of(visitor, site.base_url) as stream:
        await stream.wait_for_type("stream-open")
        url = await upload(visitor, "empty", b"")
        await stream.wait_for(has_ended)
    figures = visitor.get(f"{url}result.json").json()
    assert (figures["size"], figures["lines"], figures["words"]) == (0, 0, 0)


async def test_a_job_that_fails_says_so_on_the_open_page(site: Site) -> None:
    username = site.new_user()
    visitor = site.login(username)
    async with stream_of(visitor, site.base_url) as stream:
        await stream.wait_for_type("stream-open")
        code = QUEUE_A_MISSING_FILE.format(username=username)
        pk = await asyncio.to_thread(site.shell, code)
        [job] = await stream.wait_for(has_ended)
    assert (job["id"], job["state"]) == (pk.splitlines()[-1], "failed")
    assert "No such file" in job["error"]
    assert str(site.var_dir) not in json.dumps(job)
    assert "No such file" in visitor.get(job["url"]).text


class TestLimits:
    @pytest.fixture(scope="class")
    @classmethod
    def site(cls, make_site_of_class: Callable[..., Site]) -> Site:
        return make_site_of_class(env={"MAX_UPLOAD_BYTES": "3000000"})

    @pytest.mark.parametrize(
        ("size", "chunked"), [(3_000_001, False), (30_000_000, False), (30_000_000, True)]
    )
    def test_a_file_over_the_limit_is_refused_and_not_stored(
        self, site: Site, size: int, chunked: bool
    ) -> None:
        visitor = site.login("demo")
        length, body = multipart(size)
        answer = send(visitor, body, None if chunked else length)
        assert answer.status == 413
        assert "too large" in answer.json()["errors"]["file"][0]["message"]
        # Django closes what it holds of a request just after the answer.
        wait_until(lambda: stored(site) == [] and spooled(site) == 0, what="no upload on disk")
        assert "big" not in visitor.get("/jobs/").text

    def test_the_answer_comes_before_the_body(self, site: Site) -> None:
        visitor = site.login("demo")
        parts = urlsplit(site.base_url)
        head = (
            f"POST / HTTP/1.1\r\nHost: {parts.netloc}\r\nCookie: {visitor.cookie_header}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
            "Content-Length: 9000000000\r\n\r\n"
        )
        with socket.create_connection((parts.hostname or "", parts.port or 0), 10) as client:
            client.sendall(head.encode())
            assert client.recv(12) == b"HTTP/1.1 413"

    @pytest.mark.parametrize("announced", [True, False])
    def test_a_client_that_breaks_off_leaves_nothing(self, site: Site, announced: bool) -> None:
        visitor = site.login("demo")
        parts = urlsplit(site.base_url)
        framing = "Content-Length: 2900000" if announced else "Transfer-Encoding: chunked"
        head = (
            f"POST / HTTP/1.1\r\nHost: {parts.netloc}\r\nCookie: {visitor.cookie_header}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n{framing}\r\n\r\n"
        )
        half = b"".join(multipart(2_800_000)[1])
        with socket.create_connection((parts.hostname or "", parts.port or 0), 10) as client:
            client.sendall(head.encode() + (b"" if announced else b"%x\r\n" % len(half)) + half)
            wait_until(lambda: spooled(site) > 0, what="a body on disk")
        wait_until(lambda: spooled(site) == 0, what="no body on disk")
        assert stored(site) == []
        assert visitor.get("/").status == 200


class TestWithoutRedis:
    @pytest.fixture(scope="class")
    @classmethod
    def site(cls, make_site_of_class: Callable[..., Site]) -> Site:
        return make_site_of_class()

    @pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
    def test_an_upload_is_refused_within_seconds_and_taken_when_redis_is_back(
        self, site: Site, how: signal.Signals
    ) -> None:
        visitor = site.login("demo")
        form: dict[str, Any] = {"files": {"file": ("notes.txt", b"text")}, "headers": JSON}
        assert visitor.post("/", **form).status == 201
        left = len(stored(site))  # there is no worker
        if how == signal.SIGKILL:
            site.redis.kill()
        else:
            os.kill(site.redis.pid, how)
        try:
            started = time.monotonic()
            answer = visitor.post("/", **form)
            assert time.monotonic() - started < 8
            assert answer.status == 503
            assert "Try again in a moment" in answer.text
            assert visitor.get("/").status == 200
            assert len(stored(site)) == left
        finally:
            if how == signal.SIGKILL:
                site.redis.start()
            else:
                os.kill(site.redis.pid, signal.SIGCONT)
        wait_until(lambda: visitor.post("/", **form).status == 201, 20)
        assert visitor.get("/jobs/").text.count("notes.txt") >= 2


def peak(pid: int) -> int:
    """Return the most memory that a process has had so far, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1000


def family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in children)]


async def test_a_large_file_takes_little_memory(make_site: Callable[..., Site]) -> None:
    site = make_site(workers=1)
    visitor = site.login("demo")
    pids = [*family(site.workers[0].pid), site.webs[0].pid]
    async with stream_of(visitor, site.base_url) as stream:
        await stream.wait_for_type("stream-open")
        for _ in range(4):  # every process of the worker has done its first job
            await upload(visitor, "small", "größer 😀".encode())
        await stream.wait_for(lambda events: len(has_ended(events)) == 4)
        before = {pid: peak(pid) for pid in pids}
        length, body = multipart(200_000_000, b"no end of this line " + bytes(b"x" * 1_000_000))
        answer = await asyncio.to_thread(send, visitor, body, length)
        assert answer.status == 201
        await stream.wait_for(lambda events: len(has_ended(events)) == 5, 60)
    assert {pid for pid in pids if peak(pid) - before[pid] >= 64} == set()
    assert has_ended(stream.events)[-1]["current"] == 200_000_000
