"""What can be broken, and a seeded schedule of it.

Faults of Redis come one after another: each waits until all clients are live again, or the limit is
over. Faults of web processes and of clients come all the time beside them.
"""

import asyncio
import contextlib
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from tests.support.history import Fault
from tests.support.history_judge import RECOVERY_SECONDS

if TYPE_CHECKING:
    from tests.support.history_run import Run

DRAIN_SECONDS = 5.0
SIDE_PAUSE_SECONDS = (0.2, 1.5)
REFUSAL_SECONDS = 1.5
READ_NOTHING_SECONDS = (1.0, 8.0)  # the longest are over the stall time of a run
APPEND_ONLY = "appendonlydir"


class Faults:
    """Breaks things in a run, and notes in its history what and when."""

    def __init__(self, run: "Run", choose: random.Random, freeze_seconds: float) -> None:
        self.counts: Counter[str] = Counter()
        self.unexpected: list[str] = []  # a process that did not end as it should
        self._run = run
        self._redis = run.site.redis
        self._choose = choose
        self._freeze_seconds = freeze_seconds
        self._beside: set[asyncio.Task[None]] = set()
        self._redis_faults: dict[str, Callable[[], Awaitable[float | None]]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "cut-pubsub": self._cut_pubsub,
            "flush": self._flush,
            "rewind": self._rewind,
            "refuse-writes": self._refuse_writes,
        }

    async def break_redis(self, until: float) -> None:
        """Break Redis in all ways, in a random order, again and again."""
        while True:
            names = list(self._redis_faults)
            self._choose.shuffle(names)
            for name in names:
                await asyncio.sleep(self._choose.uniform(0.5, 1.5))
                if time.monotonic() > until:
                    return
                await self.break_redis_once(name)

    async def break_redis_once(self, name: str) -> None:
        self.counts[name] += 1
        started = time.monotonic()
        forgot_from = await self._redis_faults[name]()
        ended = time.monotonic()
        fault = Fault(name, started, ended, True, forgot_from, traceless=name == "rewind")
        self._run.history.faults.append(fault)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECOVERY_SECONDS + 1):
                while any(client.paused for client in self._run.clients):
                    await asyncio.sleep(0.05)

    async def break_the_rest(self, until: float) -> None:
        """Break web processes and clients, until the time is over; all runs at the end."""
        ways = {
            self._web_killed: 1,
            self._web_terminated: 1,
            self._disconnected: 8,
            self._slow: 4,
        }
        try:
            while time.monotonic() < until:
                await asyncio.sleep(self._choose.uniform(*SIDE_PAUSE_SECONDS))
                (way,) = self._choose.choices(list(ways), list(ways.values()))
                way()
        finally:
            await asyncio.gather(*self._beside)

    # Redis

    async def _kill(self) -> None:
        await asyncio.to_thread(self._redis.kill)
        await asyncio.sleep(self._choose.uniform(0, 1.5))
        await asyncio.to_thread(self._redis.start)

    async def _freeze(self) -> None:
        self._redis.freeze()
        try:
            await asyncio.sleep(self._choose.uniform(0.5, 1) * self._freeze_seconds)
        finally:
            self._redis.thaw()

    async def _cut_pubsub(self) -> None:
        await self._command("CLIENT", "KILL", "TYPE", "pubsub")

    async def _flush(self) -> float:
        await self._command("FLUSHALL")
        return self._run.started

    async def _rewind(self) -> float:
        """Go on from a copy of the data that is some time old."""
        copy = self._run.directory / "older"
        shutil.rmtree(copy, ignore_errors=True)
        data = self._redis.directory / APPEND_ONLY
        copied_at = time.monotonic()
        await asyncio.to_thread(shutil.copytree, data, copy)
        await asyncio.sleep(self._choose.uniform(0.5, 2))
        await asyncio.to_thread(self._redis.kill)
        await asyncio.to_thread(_replace, data, copy)
        await asyncio.to_thread(self._redis.start)
        return copied_at

    async def _refuse_writes(self) -> None:
        await self._command("CONFIG", "SET", "maxmemory", "1")
        await asyncio.sleep(REFUSAL_SECONDS)
        await self._command("CONFIG", "SET", "maxmemory", "0")

    async def _command(self, *words: str) -> None:
        def execute() -> None:
            with self._redis.client() as client:
                client.execute_command(*words)

        with contextlib.suppress(redis.ConnectionError):  # it may kill the connection it came by
            await asyncio.to_thread(execute)

    # Web processes and clients

    def _web_killed(self) -> None:
        self._spawn("web-sigkill", self._end_web(signal.SIGKILL))

    def _web_terminated(self) -> None:
        self._spawn("web-sigterm", self._end_web(signal.SIGTERM))

    def _disconnected(self) -> None:
        self.counts["disconnect"] += 1
        self._choose.choice(self._run.clients).disconnect()

    def _slow(self) -> None:
        client = self._choose.choice(self._run.clients)
        self._spawn("slow", client.read_nothing_for(self._choose.uniform(*READ_NOTHING_SECONDS)))

    def _spawn(self, name: str, work: Awaitable[None]) -> None:
        async def counted() -> None:
            self.counts[name] += 1
            await work

        task = asyncio.create_task(counted())
        self._beside.add(task)

    async def _end_web(self, sig: signal.Signals) -> None:
        webs = self._run.webs
        running = [web for web in webs if web.process is not None]
        if len(running) < 2:
            return
        web = self._choose.choice(running)
        process, web.process = web.process, None
        started = time.monotonic()
        process.send_signal(sig)
        while process.returncode is None and time.monotonic() - started < 15:
            await asyncio.sleep(0.02)
        took = time.monotonic() - started
        if sig == signal.SIGTERM and (took > DRAIN_SECONDS + 1 or process.returncode != 0):
            self.unexpected.append(
                f"{process} ended after {took:.1f} s with {process.returncode} on SIGTERM"
            )
        self._run.history.faults.append(Fault(sig.name, started, time.monotonic()))
        await self._run.start_web(web)


def _replace(data: Path, copy: Path) -> None:
    shutil.rmtree(data)
    shutil.copytree(copy, data)
