"""A run: a site, publishers, clients and faults, and the history that comes of it."""

import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from django.test import override_settings

from tests.support.history import ClientHistory, History, Log, Publication, Saw
from tests.support.history_client import HistoryClient
from tests.support.history_faults import Faults
from tests.support.history_judge import Finding, Limits, forgotten_unheard, judge
from tests.support.processes import Process
from tests.support.site import Databases, Site

# Short times and tight limits, so that a run of seconds meets all of them.
SETTINGS = {
    "NOTIFICATIONS_KEEP_ALIVE_SECONDS": "2",
    "NOTIFICATIONS_STALL_SECONDS": "3",
    "NOTIFICATIONS_RESYNC_SECONDS": "2",
    "NOTIFICATIONS_SWEEP_SECONDS": "5",
    "NOTIFICATIONS_BUFFER_MAX_BYTES": "65536",
    "NOTIFICATIONS_LOG_LENGTH": "300",
}
SETTLE_SECONDS = 15.0
START_SECONDS = 90.0  # of a web process, Redis being away for a part of it


@dataclass(slots=True)
class Web:
    port: int
    process: Process | None


@dataclass(frozen=True, slots=True)
class Size:
    webs: int = 2
    users: int = 5
    clients_each: int = 4
    publishers: int = 2  # processes
    threads: int = 2  # in each
    rate: float = 15.0  # messages a second, of each thread
    freeze_seconds: float = 4.0


@dataclass(slots=True)
class Report:
    seed: str
    history: History
    findings: list[Finding]
    counts: dict[str, int] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            self.summary,
            *(f"    {finding}" for finding in self.findings[:40]),
            *(f"    {text}" for text in self.unexpected),
        ]
        return "\n".join(lines)

    @property
    def summary(self) -> str:
        rules = Counter(finding.rule for finding in self.findings)
        if self.unexpected:
            rules["unexpected"] = len(self.unexpected)
        lines = [
            f"seed {self.seed}",
            "  " + _listed(self.counts),
            "  faults: " + _listed(dict(sorted(self.faults.items()))),
            f"  findings: {rules.total()}" + (f" ({_listed(rules)})" if rules else ""),
        ]
        return "\n".join(lines)

    @property
    def good(self) -> bool:
        return not self.findings and not self.unexpected


class Run:
    """Use `async with Run(…) as run`, break things, then `await run.finish()`."""

    def __init__(
        self,
        databases: Databases,
        seed: str,
        size: Size,
        env: dict[str, str] | None = None,
    ) -> None:
        self.seed = seed
        self.size = size
        self.history = History()
        self.clients: list[HistoryClient] = []
        self.webs: list[Web] = []
        self.started = 0.0
        self._choose = random.Random(seed)
        self._databases = databases
        self._env = {**SETTINGS, **(env or {})}
        self._publishers: list[Process] = []

    async def __aenter__(self) -> "Run":
        self.site = await asyncio.to_thread(
            Site, self._databases, webs=self.size.webs, env=self._env
        )
        self.directory = Path(tempfile.mkdtemp(dir=self.site.var_dir))
        self.webs = [
            Web(int(url.rpartition(":")[2]), process)
            for url, process in zip(self.site.base_urls, self.site.webs, strict=True)
        ]
        self.started = time.monotonic()
        self._override = override_settings(NOTIFICATIONS_REDIS_URL=self.site.redis.url)
        self._override.enable()
        self.faults = Faults(self, random.Random(f"{self.seed}-faults"), self.size.freeze_seconds)
        try:
            await self._start_clients()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        for client in self.clients:
            await client.stop()
        self._override.disable()
        for publisher in self._publishers:
            publisher.stop()
        await asyncio.to_thread(self.site.close)

    @property
    def channels(self) -> list[str]:
        return sorted({client.history.channel for client in self.clients})

    def start_publishers(self) -> None:
        for n in range(self.size.publishers):
            command = [sys.executable, "-m", "tests.support.history_publisher", f"p{n}", self.seed]
            command += [str(self.size.threads), str(self.size.rate), *self.channels]
            log = self.directory / f"publisher-{n}"
            self._publishers.append(Process(f"publisher-{n}", command, log, self.site.env))

    async def start_web(self, web: Web) -> None:
        """Start it again at its port, as a supervisor does: until it runs."""
        async with asyncio.timeout(START_SECONDS):
            while True:
                process = self.site._spawn_web("--port", str(web.port))
                try:
                    await asyncio.to_thread(process.wait_for_output, "Serving at ")
                except AssertionError:  # Redis is away: it refuses to start
                    process.stop()
                    await asyncio.sleep(0.3)
                else:
                    web.process = process
                    return

    async def heard(self, text: str) -> None:
        """Wait until every client has this log message."""
        async with asyncio.timeout(SETTLE_SECONDS):
            while not all(_has(client, text) for client in self.clients):
                await asyncio.sleep(0.02)

    async def finish(self) -> Report:
        """Say one last thing on every channel, wait until all have heard it, and judge."""
        for publisher in self._publishers:
            await asyncio.to_thread(publisher.stop)
            self._read_records(publisher)
        await asyncio.to_thread(self._say_the_last_things)
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline and not all(map(self._has_it_all, self.clients)):
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)  # what comes once too often would come now
        self.history.ended = time.monotonic()
        findings = judge(self.history, Limits())
        self.faults.unexpected += _tracebacks(self.site.logs)
        return Report(
            self.seed,
            self.history,
            findings,
            self._counts(),
            self.faults.counts,
            self.faults.unexpected,
        )

    async def _start_clients(self) -> None:
        for n in range(self.size.users):
            visitor = await asyncio.to_thread(self.site.login)
            page = (await asyncio.to_thread(visitor.get, "/")).text
            channel = page.partition('data-cursor="')[2].partition('"')[0].rpartition(":")[0]
            for m in range(self.size.clients_each):
                history = ClientHistory(f"client {n}.{m}", channel)
                choose = random.Random(f"{self.seed}-{history.name}")
                client = HistoryClient(
                    history, visitor.cookie_header, lambda: self._base_urls, choose
                )
                self.history.clients.append(history)
                self.clients.append(client)
                client.start()
        async with asyncio.timeout(20):
            while not all(client.last_event_id for client in self.clients):
                await asyncio.sleep(0.05)

    @property
    def _base_urls(self) -> list[str]:
        return [f"http://127.0.0.1:{web.port}" for web in self.webs]

    def _read_records(self, publisher: Process) -> None:
        for line in publisher.output.splitlines():
            try:
                record = Publication(**json.loads(line))
            except (ValueError, TypeError):
                raise AssertionError(f"{publisher} said:\n{publisher.output[-3000:]}") from None
            self.history.publications.append(record)

    def _say_the_last_things(self) -> None:
        from tests.support.history_publisher import publish_recorded

        last: dict[tuple[str, str], int] = {}
        for said in self.history.publications:
            if said.key:
                place = (said.channel, said.key)
                last[place] = max(last.get(place, 0), int(said.text))
        for (channel, key), number in last.items():
            said = publish_recorded(channel, str(number + 1), key, "")
            assert said.id is not None, "Redis is well, and a value was not published"
            self.history.publications.append(said)
            self.history.final_numbers[channel, key] = number + 1
        for channel in self.channels:
            said = publish_recorded(channel, f"last-{channel}", "", "")
            assert said.id is not None, "Redis is well, and a message was not published"
            self.history.publications.append(said)
            self.history.final_texts[channel] = said.text

    def _has_it_all(self, client: HistoryClient) -> bool:
        return _has(client, self.history.final_texts[client.history.channel])

    def _counts(self) -> dict[str, int]:
        history = self.history
        entries = [entry for client in history.clients for entry in client.entries]
        saw = Counter(entry.type for entry in entries if isinstance(entry, Saw))
        kinds = Counter(type(entry).__name__ for entry in entries)
        statuses: Counter[str] = Counter()
        for client in self.clients:
            statuses.update({f"status {status}": n for status, n in client.statuses.items()})
        return {
            "published": sum(said.id is not None for said in history.publications),
            "perhaps published": sum(said.id is None for said in history.publications),
            "log messages received": kinds["Log"],
            "latest values received": kinds["Latest"],
            "streams": kinds["Opened"],
            "resets": saw["stream-reset"],
            "pauses": saw["stream-paused"],
            "forgotten before anybody heard": len(forgotten_unheard(history)),
            "lost": sum(finding.rule == "lost" for finding in judge(history)),
            **statuses,
        }


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _has(client: HistoryClient, text: str) -> bool:
    last = client.history.entries[-100:]
    return any(isinstance(entry, Log) and entry.text == text for entry in last)


def _tracebacks(logs: str) -> list[str]:
    """Return what the processes said of errors that nobody expected."""
    lines = logs.splitlines()
    starts = [n for n, line in enumerate(lines) if line.lstrip(" +|").startswith("Traceback")]
    return ["\n".join(lines[max(n - 2, 0) : n + 40]) for n in starts[:2]]


async def run(databases: Databases, seed: str, seconds: float, size: Size) -> Report:
    """Break everything for `seconds`, and report."""
    async with Run(databases, seed, size) as running:
        running.start_publishers()
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(running.faults.break_redis(until))
            tasks.create_task(running.faults.break_the_rest(until))
        return await running.finish()
