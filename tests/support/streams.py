"""
A client for event streams that keeps what it saw: raw sockets, so that hundreds are cheap.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

DEADLINE_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Event:
    type: str
    data: str
    id: str | None
    at: float = field(compare=False, default=0.0)  # time.monotonic()

    @property
    def json(self) -> Any:
        return json.loads(self.data)


class EventParser:
    """Turns the bytes of a stream into events, as WHATWG's "event stream interpretation" has it."""

    def __init__(self) -> None:
        self._rest = b""
        self.retry: int | None = None

    def feed(self, data: bytes) -> list[Event]:
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        return [event for block in blocks if (event := self._parse(block.decode()))]

    def _parse(self, block: str) -> Event | None:
        type, lines, id = "message", [], None
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                type = value
            elif name == "data":
                lines.append(value)
            elif name == "id":
                id = value
            elif name == "retry":
                self.retry = int(value)
        return Event(type, "\n".join(lines), id, time.monotonic()) if lines else None


class Stream:
    """One connection to an event stream; use ``async with Stream(url, …) as stream``."""

    def __init__(self, url: str, cookie: str = "", last_event_id: str = "") -> None:
        self.url, self.cookie = url, cookie
        self.last_event_id = last_event_id
        self.events: list[Event] = []
        self.status = 0
        self.body = b""  # of an answer that is no stream
        self.retry: int | None = None
        self.ended = asyncio.Event()
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> "Stream":
        await self.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def open(self, seconds: float = DEADLINE_SECONDS) -> None:
        parts = urlsplit(self.url)
        reader, self._writer = await asyncio.open_connection(parts.hostname, parts.port)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"GET {path} HTTP/1.1", f"Host: {parts.netloc}", "Accept: text/event-stream"]
        if self.cookie:
            lines.append(f"Cookie: {self.cookie}")
        if self.last_event_id:
            lines.append(f"Last-Event-ID: {self.last_event_id}")
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(seconds):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
        self.status = int(head.split()[1])
        self.headers = dict(
            line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
        )
        if "text/event-stream" in self.headers.get("content-type", ""):
            self.ended.clear()
            self._task = asyncio.create_task(self._read(reader))
        elif length := int(self.headers.get("content-length", 0)):
            self.body = await reader.readexactly(length)

    async def close(self) -> None:
        """Break the connection off, as a laptop's lid does."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._writer:
            self._writer.transport.abort()

    async def reopen(self, seconds: float = DEADLINE_SECONDS) -> None:
        """Come back with the last id seen, as a browser does."""
        await self.close()
        await self.open(seconds)

    async def wait_for(self, condition: Any, seconds: float = DEADLINE_SECONDS) -> Any:
        """Wait until ``condition(events)`` is true and return its value."""
        try:
            async with asyncio.timeout(seconds), self._news:
                while not (value := condition(self.events)):
                    await self._news.wait()
                return value
        except TimeoutError:
            seen = [(event.type, event.data[:60]) for event in self.events[-20:]]
            raise AssertionError(f"not within {seconds} s; the last events were {seen}") from None

    async def wait_for_type(
        self, type: str, count: int = 1, seconds: float = DEADLINE_SECONDS
    ) -> Event:
        """Wait for the ``count``-th event of a type and return it."""
        found = await self.wait_for(
            lambda events: [event for event in events if event.type == type][count - 1 : count],
            seconds,
        )
        return found[0]

    def of_type(self, type: str) -> list[Event]:
        return [event for event in self.events if event.type == type]

    async def _read(self, reader: asyncio.StreamReader) -> None:
        parser = EventParser()
        try:
            while size := int(await reader.readline(), 16):
                chunk = await reader.readexactly(size)
                await reader.readexactly(2)
                events = parser.feed(chunk)
                async with self._news:
                    for event in events:
                        if event.id is not None:
                            self.last_event_id = event.id
                    self.events += events
                    self.retry = parser.retry
                    self._news.notify_all()
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass
        finally:
            self.ended.set()
