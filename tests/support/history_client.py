"""A client that lives through everything, as a browser does, and keeps a history of what it saw."""

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from tests.support.history import ClientHistory, Closed, Latest, Log, Opened, Saw, Silence
from tests.support.streams import Event, EventParser

RECEIVE_BUFFER_BYTES = 4096  # little is on its way to a client that does not read
READER_LIMIT_BYTES = 128 * 1024  # the size of one chunk is read by line, chunks are read in parts
RETRY_SECONDS = (0.05, 0.5)  # a client's own; browsers wait longer
RETRY_LIMIT_SECONDS = 1.0  # of what the server asks for, so that a run is not all waiting
OPEN_SECONDS = 15.0
NOTED_SILENCE_SECONDS = 2.0


class HistoryClient:
    """Reads a stream, comes back with its last id when it is over, to whichever process."""

    def __init__(
        self,
        history: ClientHistory,
        cookie: str,
        base_urls: Callable[[], list[str]],
        choose: random.Random,
    ) -> None:
        self.history = history
        self.connected = False
        self.paused = False
        self.last_event_id = ""
        self.statuses: dict[int, int] = {}
        self._cookie = cookie
        self._base_urls = base_urls
        self._choose = choose
        self._writer: asyncio.StreamWriter | None = None
        self._reading = asyncio.Event()
        self._reading.set()
        self._retry: int | None = None
        self._leaving = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._live())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def disconnect(self) -> None:
        """Lose the connection, as on a train."""
        self._leaving = True
        if self._writer:
            self._writer.transport.abort()

    async def read_nothing_for(self, seconds: float) -> None:
        with self.reading_nothing():
            await asyncio.sleep(seconds)

    @contextlib.contextmanager
    def reading_nothing(self) -> Iterator[None]:
        started = time.monotonic()
        self._reading.clear()
        try:
            yield
        finally:
            self._reading.set()
            self.history.slow.append((started, time.monotonic()))

    async def _live(self) -> None:
        while True:
            self._leaving = False
            why = "broken"
            try:
                why = await self._connect(self._choose.choice(self._base_urls()))
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
                pass
            finally:
                if self.connected:
                    why = "left" if self._leaving else why
                    self.history.entries.append(Closed(time.monotonic(), why))
                self.connected = self.paused = False
                if self._writer:
                    self._writer.transport.abort()
                    self._writer = None
            wait = self._choose.uniform(*RETRY_SECONDS)
            if self._retry is not None:
                wait = min(self._retry / 1000, RETRY_LIMIT_SECONDS)
                self._retry = None
            await asyncio.sleep(wait)

    async def _connect(self, base_url: str) -> str:
        parts = urlsplit(base_url)
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, (parts.hostname, parts.port))
        except BaseException:
            connection.close()
            raise
        reader, self._writer = await asyncio.open_connection(
            sock=connection, limit=READER_LIMIT_BYTES
        )
        cursor = self.last_event_id
        lines = ["GET /events/ HTTP/1.1", f"Host: {parts.netloc}", "Accept: text/event-stream"]
        lines.append(f"Cookie: {self._cookie}")
        if cursor:
            lines.append(f"Last-Event-ID: {cursor}")
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(OPEN_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split()[1])
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status != 200:
            return "refused"
        self.connected = True
        self.history.entries.append(Opened(time.monotonic(), cursor, status))
        return await self._read(reader)

    async def _read(self, reader: asyncio.StreamReader) -> str:
        parser = EventParser()
        try:
            while size := int(await self._awaited(reader.readline()), 16):
                while size:
                    part = await self._awaited(reader.read(min(size, 65536)))
                    if not part:
                        return "broken"
                    size -= len(part)
                    for event in parser.feed(part):
                        self._note(event)
                    await self._reading.wait()
                await reader.readexactly(2)
        finally:
            self._retry = parser.retry
        return "ended"

    async def _awaited(self, reading: "asyncio.Future[bytes] | object") -> bytes:
        since = time.monotonic()
        with contextlib.ExitStack() as stack:
            stack.callback(self._note_silence, since)
            return await reading  # type: ignore[misc]

    def _note_silence(self, since: float) -> None:
        now = time.monotonic()
        if now - since > NOTED_SILENCE_SECONDS:
            self.history.entries.append(Silence(now, since))

    def _note(self, event: Event) -> None:
        id = None
        if event.id is not None:
            self.last_event_id = event.id
            id = int(event.id.rpartition(":")[2])
        if event.type == "note":
            assert id is not None, "A log message came without an id"
            self.history.entries.append(Log(event.at, event.json["text"], id))
        elif event.type == "tick":
            data = event.json
            self.history.entries.append(Latest(event.at, data["key"], data["number"]))
        elif event.type != "keep-alive":
            if event.type in ("stream-paused", "stream-live"):
                self.paused = event.type == "stream-paused"
            self.history.entries.append(Saw(event.at, event.type, id))
