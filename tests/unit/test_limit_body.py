"""The limit on a body, in front of the real Django handler and its spooling to disk."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

from project import uploads
from project.uploads import BODY_REFUSED, MARGIN_BYTES, LimitBody

LIMIT = 5_000_000  # over what Django keeps in memory, so that bodies do reach the disk


def say(request):
    """Tell what reached the view."""
    size = len(request.body)
    return HttpResponse(f"{request.method} {size}", status=413 if is_refused(request) else 200)


def is_refused(request):
    return request.scope.get(BODY_REFUSED, False)


urlpatterns = [path("say/", say)]


@pytest.fixture(autouse=True)
def site(settings, tmp_path, monkeypatch):
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = []
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


class Client:
    """A client and its server: what is sent, what comes back, what is on disk meanwhile."""

    def __init__(self, directory: Path, application=None) -> None:
        self.application = application or LimitBody(get_asgi_application(), LIMIT)
        self.directory = directory
        self.answer = b""
        self.status = None
        self.ended = False
        self.taken = 0  # bytes of the body that were read
        self.taken_when_answered = 0
        self.most_on_disk = 0

    async def request(
        self,
        *,
        pieces,
        method="POST",
        announced=None,
        breaks_off=False,
        goes_quiet=False,
        expect=False,
    ):
        headers = [(b"host", b"testserver")]
        if announced is not None:
            headers.append((b"content-length", str(announced).encode()))
        if expect:
            headers.append((b"expect", b"100-continue"))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": "/say/",
            "raw_path": b"/say/",
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "server": ("testserver", 80),
        }
        left = list(pieces)

        async def receive():
            await asyncio.sleep(0)
            self.most_on_disk = max(self.most_on_disk, spooled(self.directory))
            if left:
                piece = left.pop(0)
                self.taken += len(piece)
                return {
                    "type": "http.request",
                    "body": piece,
                    "more_body": bool(left) or breaks_off or goes_quiet,
                }
            if not breaks_off:
                await asyncio.Event().wait()  # a client that waits for the answer
            return {"type": "http.disconnect"}

        async def send(message):
            assert not self.ended
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.taken_when_answered = self.taken
            else:
                self.answer += message.get("body", b"")
                self.ended = not message.get("more_body", False)

        async with asyncio.timeout(20):
            await self.application(scope, receive, send)
        return self


def spooled(directory: Path) -> int:
    """Return the bytes in the files that this process has open there; they have no name."""
    total = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if str(entry.readlink()).startswith(str(directory)):
                total += entry.stat().st_size
        except OSError:
            continue
    return total


@pytest.fixture
def client(tmp_path):
    return Client(tmp_path)


def pieces(size, of=500_000):
    return [bytes(min(of, size - start)) for start in range(0, size, of)] or [b""]


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("size", [0, 10, LIMIT, LIMIT + MARGIN_BYTES])
async def test_a_body_within_the_limit_reaches_the_view(client, size, announced):
    await client.request(pieces=pieces(size), announced=size if announced else None)
    assert (client.status, client.answer) == (200, f"POST {size}".encode())


async def test_an_announced_body_over_the_limit_is_refused_before_any_of_it_is_read(client):
    size = LIMIT + MARGIN_BYTES + 1
    await client.request(pieces=pieces(size), announced=size)
    assert (client.status, client.answer, client.ended) == (413, b"GET 0", True)
    assert client.taken_when_answered == 0
    assert client.most_on_disk == 0


async def test_a_body_without_a_length_is_refused_as_soon_as_it_passes_the_limit(client, tmp_path):
    size = 3 * LIMIT
    await client.request(pieces=pieces(size))
    assert (client.status, client.answer, client.ended) == (413, b"GET 0", True)
    assert client.taken_when_answered <= LIMIT + MARGIN_BYTES + 500_000
    assert 0 < client.most_on_disk <= LIMIT + MARGIN_BYTES
    assert spooled(tmp_path) == 0


async def test_a_length_that_is_no_number_is_not_believed(client):
    await client.request(pieces=pieces(3 * LIMIT), announced="-5")
    assert client.status == 413


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_the_limit_holds_for_every_method(client, method):
    await client.request(pieces=pieces(3 * LIMIT), method=method)
    assert client.status == 413
    assert client.most_on_disk <= LIMIT + MARGIN_BYTES


async def test_the_rest_of_a_refused_body_is_read_so_that_the_answer_is_seen(client):
    size = 4 * LIMIT
    await client.request(pieces=pieces(size), announced=size)
    assert client.taken == size


async def test_not_more_than_a_bound_is_read_on(client, monkeypatch):
    monkeypatch.setattr(uploads, "DISCARD_BYTES", 2_000_000)
    await client.request(pieces=pieces(4 * LIMIT), announced=4 * LIMIT)
    assert client.ended
    assert client.taken == 2_000_000


async def test_a_client_that_sends_no_more_is_not_waited_for_forever(client, monkeypatch):
    monkeypatch.setattr(uploads, "DISCARD_SECONDS", 0.2)

    await client.request(pieces=pieces(LIMIT), announced=4 * LIMIT, goes_quiet=True)
    assert (client.status, client.ended) == (413, True)


async def test_a_client_that_asks_first_is_told_no_and_sends_nothing(client):
    await client.request(pieces=pieces(4 * LIMIT), announced=4 * LIMIT, expect=True)
    assert (client.status, client.taken, client.ended) == (413, 0, True)


@pytest.mark.parametrize("announced", [LIMIT, None])
async def test_a_client_that_breaks_off_leaves_nothing_on_disk(client, tmp_path, announced):
    await client.request(pieces=pieces(LIMIT - 1), announced=announced, breaks_off=True)
    assert client.status is None
    assert client.most_on_disk > 0
    assert spooled(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


async def test_other_connections_pass_through():
    seen = []

    async def application(scope, receive, send):
        seen.append(scope["type"])

    await LimitBody(application, 0)({"type": "lifespan"}, None, None)
    assert seen == ["lifespan"]
