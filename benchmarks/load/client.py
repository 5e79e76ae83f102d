"""
The client: thousands of streams in one process, which only counts what comes.

uvloop, a protocol without an HTTP parser, and one buffer for all sockets: a read costs a system
call, a count of one byte in the buffer and an addition. Run by ``Worker``; see ``COMMANDS``.
"""

import asyncio
import json
import socket
import struct
import sys
import time
from typing import Any, cast

import uvloop

from benchmarks.load.payload import MARK, STAMP_LENGTH

BUFFER_BYTES = 256 * 1024
HEAD_MAX_BYTES = 64 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # no TIME_WAIT: the next repetition needs the ports


class Swarm:
    """All streams of the process, and what they have received since ``expect``."""

    def __init__(self) -> None:
        self.buffer = bytearray(BUFFER_BYTES)
        self.ready = b""
        self.streams: list[Stream] = []
        self.got = 0
        self.expected = 0
        self.last_ns = 0
        self.latencies: list[int] | None = None
        self.complete = asyncio.Event()
        self.opened = 0
        self.failed = 0
        self.lost = 0
        self.errors: list[str] = []

    async def open(
        self,
        host: str,
        port: int,
        requests: list[str],
        ready: str,
        window: int,
        seconds: float,
        expected: int = 0,
    ) -> dict[str, Any]:
        """Open a stream for each request, ``window`` at a time; each until it says ``ready``."""
        self.ready = ready.encode()
        self.expect(expected)
        self.opened = self.failed = 0
        self.errors = []
        loop = asyncio.get_running_loop()
        left = iter(requests)
        started, cpu = time.monotonic_ns(), time.process_time()

        async def open_one_after_another() -> None:
            for request in left:
                stream = Stream(self, request.encode())
                self.streams.append(stream)
                try:
                    await loop.create_connection(lambda s=stream: s, host, port)  # type: ignore[misc]
                    await stream.opening
                    self.opened += 1
                except OSError as error:
                    self.failed += 1
                    self.errors = [*self.errors[:4], str(error)]

        workers = [asyncio.create_task(open_one_after_another()) for _ in range(window)]
        _, pending = await asyncio.wait(workers, timeout=seconds)
        for worker in pending:
            worker.cancel()
        return {
            "opened": self.opened,
            "failed": self.failed,
            "errors": self.errors,
            "started_ns": started,
            "seconds": (time.monotonic_ns() - started) / 1e9,
            "cpu": time.process_time() - cpu,
        }

    def expect(self, count: int, latencies: bool = False) -> dict[str, Any]:
        """Begin to count anew, towards ``count`` events in all."""
        self.got, self.expected, self.last_ns, self.lost = 0, count, 0, 0
        self.latencies = [] if latencies else None
        self.complete.clear()
        for stream in self.streams:
            stream.got = 0
        return {"cpu": time.process_time()}

    async def collect(self, quiet: float, seconds: float) -> dict[str, Any]:
        """Wait for all events, or until none has come for ``quiet`` seconds, or ``seconds``."""
        started, cpu = time.monotonic(), time.process_time()
        while not self.complete.is_set():
            before = self.got
            try:
                async with asyncio.timeout(quiet):
                    await self.complete.wait()
            except TimeoutError:
                if self.got == before or time.monotonic() - started > seconds:
                    break
        counts = [stream.got for stream in self.streams]
        latencies = sorted(self.latencies or ())
        self.latencies = None
        return {
            "got": self.got,
            "fewest": min(counts, default=0),
            "most": max(counts, default=0),
            "last_ns": self.last_ns,
            "lost": self.lost,
            "cpu": time.process_time() - cpu,
            "latency_us": {
                str(share): latencies[min(int(len(latencies) * share), len(latencies) - 1)] / 1000
                for share in (0.5, 0.9, 0.99)
                if latencies
            },
        }

    async def close(self) -> dict[str, Any]:
        """Break off all streams."""
        for stream in self.streams:
            stream.abort()
        closed = len(self.streams)
        self.streams = []
        await asyncio.sleep(0)
        return {"closed": closed}


class Stream(asyncio.BufferedProtocol):
    """One stream: waits for the answer's head and the first event, then counts."""

    def __init__(self, swarm: Swarm, request: bytes) -> None:
        self.swarm = swarm
        self.request = request
        self.opening = asyncio.get_running_loop().create_future()
        self.got = 0
        self.rest = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.transport.write(self.request)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.swarm.buffer

    def buffer_updated(self, nbytes: int) -> None:
        swarm = self.swarm
        if not self.opening.done():
            self._open(bytes(swarm.buffer[:nbytes]))
            return
        if swarm.latencies is not None:
            found = self._time(bytes(swarm.buffer[:nbytes]), swarm.latencies)
        else:
            found = swarm.buffer.count(MARK, 0, nbytes)
        if found:
            self._count(found)

    def connection_lost(self, error: Exception | None) -> None:
        if self.transport is not None:
            self.swarm.lost += 1
        if not self.opening.done():
            self.opening.set_exception(ConnectionError(f"closed after {self.rest[:200]!r}"))

    def abort(self) -> None:
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.abort()

    def _count(self, found: int) -> None:
        swarm = self.swarm
        self.got += found
        swarm.got += found
        swarm.last_ns = time.monotonic_ns()
        if swarm.got >= swarm.expected:
            swarm.complete.set()

    def _open(self, data: bytes) -> None:
        self.rest += data
        if self.rest.startswith(b"HTTP/1.1 200") and self.swarm.ready in self.rest:
            self.opening.set_result(None)
            if found := self.rest.count(MARK):
                self._count(found)
            self.rest = b""
        elif not b"HTTP/1.1 200".startswith(self.rest[:12]) or len(self.rest) > HEAD_MAX_BYTES:
            self.opening.set_exception(ConnectionError(self.rest[:200].decode(errors="replace")))

    def _time(self, data: bytes, latencies: list[int]) -> int:
        """Count the marks whose stamp is whole; what comes last may wait for its rest."""
        now = time.monotonic_ns()
        data = self.rest + data
        found, at = 0, data.find(MARK)
        while at >= 0 and len(data) > at + STAMP_LENGTH:
            latencies.append(now - int(data[at + 1 : at + 1 + STAMP_LENGTH]))
            found += 1
            at = data.find(MARK, at + 1)
        self.rest = data[at:] if at >= 0 else b""
        return found


COMMANDS = ("open", "expect", "collect", "close")


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    swarm = Swarm()
    while line := await reader.readline():
        command, arguments = json.loads(line)
        assert command in COMMANDS, command
        answer = getattr(swarm, command)(**arguments)
        if asyncio.iscoroutine(answer):
            answer = await answer
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
