"""
The blaster: a server that only writes, to see how much the client can take.

It answers every connection at once, waits until all have come, and then gives each the same bytes,
as often as it is told. Run with: connections, events in a write, writes; prints its port.
"""

import asyncio
import sys
from typing import cast

import uvloop

from benchmarks.load.payload import text

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: stream-open\ndata: \n\n"


class Blaster(asyncio.Protocol):
    transports: list[asyncio.Transport] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self.transport.write(HEAD)
        self.transports.append(self.transport)


async def main(connections: int, events: int, writes: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Blaster, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    while len(Blaster.transports) < connections:
        await asyncio.sleep(0.05)
    await loop.run_in_executor(None, sys.stdin.readline)
    chunk = f'event: bench\ndata: "{text()}"\n\n'.encode() * events
    for _ in range(writes):
        for transport in Blaster.transports:
            transport.write(chunk)
        await asyncio.sleep(0)
    await loop.run_in_executor(None, sys.stdin.readline)


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:])))
