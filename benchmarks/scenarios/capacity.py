"""
Capacity: how fast streams open, what they cost while nothing happens, and how many there can be.
"""

import resource
import subprocess
import sys
import time
from typing import NamedTuple

from benchmarks import proc
from benchmarks.bench import Bench, median, paired_ratio
from benchmarks.contenders.base import Contender
from benchmarks.load.worker import Worker
from benchmarks.rig import rigs
from tests.support.processes import ROOT, environment

IDLE_TARGET_BYTES = 16 * 1024
OPENING_TARGET = 5.0  # of stock's rate, at least
WARM_STREAMS = 50  # opened and closed before: imports, thread pools and caches are nobody's streams
MEMORY_SETTLE_SECONDS = 1.0


def client(bench: Bench) -> None:
    """Measure what the client can take, from a server that does nothing but write."""
    for events, writes, connections in ((bench.sizes.burst_messages, 20, 500), (1, 400, 500)):
        expected = events * writes * connections
        rate, share = _blast(connections, events, writes)
        bench.row(
            "client alone",
            f"{events} event{'s' if events > 1 else ''} in a write, {expected:,} in all",
            {},
            ratio=f"takes {rate:,.0f}/s at {share:.0%} CPU",
        )


def _blast(connections: int, events: int, writes: int) -> tuple[float, float]:
    """Return events per second and the client's share of a core."""
    command = [sys.executable, "-m", "benchmarks.load.blaster"]
    command += [str(connections), str(events), str(writes)]
    with (
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as blaster,
        Worker("benchmarks.load.client") as worker,
    ):
        assert blaster.stdin is not None and blaster.stdout is not None
        request = "GET / HTTP/1.1\r\n\r\n"
        worker.ask(
            "open",
            host="127.0.0.1",
            port=int(blaster.stdout.readline()),
            requests=[request] * connections,
            ready="event: stream-open",
            window=100,
            seconds=30,
        )
        expected = connections * events * writes
        worker.ask("expect", count=expected)
        worker.send("collect", quiet=5, seconds=60)
        started = time.monotonic_ns()
        blaster.stdin.write("\n")
        blaster.stdin.flush()
        got = worker.receive()
        seconds = (got["last_ns"] - started) / 1e9
        assert got["got"] == expected, got
        blaster.stdin.write("\n")
        blaster.stdin.flush()
    return expected / seconds, got["cpu"] / seconds


class Opened(NamedTuple):
    rate: float  # streams per second
    bytes_each: float
    threads_before: int
    threads: int


def idle(bench: Bench) -> None:
    """Open streams, each of its own user, and see what they weigh; a fresh process each time."""
    sizes = bench.sizes
    found: dict[str, list[Opened]] = {}
    for repetition in range(2):
        for kind in bench.contenders:
            if kind.name == "stock" and repetition >= sizes.repetitions_slow:
                continue
            opened = _open_and_weigh(kind, sizes.idle_streams)
            bench.say(f"    {kind.name}: {opened}")
            found.setdefault(kind.name, []).append(opened)
    weights = {name: median(each.bytes_each for each in all) for name, all in found.items()}
    title = f"idle: {sizes.idle_streams:,} streams"
    ours = found.get("carillon")
    bench.row(
        title,
        "memory per stream",
        {name: f"{weight / 1024:.1f} KB" for name, weight in weights.items()},
        target=f"≤ {IDLE_TARGET_BYTES // 1024} KB",
        passed=weights["carillon"] <= IDLE_TARGET_BYTES if ours else None,
    )
    bench.row(
        title,
        "threads before and with them",
        {name: f"{all[0].threads_before}, {all[0].threads}" for name, all in found.items()},
        target="no growth",
        passed=all(each.threads <= each.threads_before for each in ours) if ours else None,
    )
    rates = {name: [each.rate for each in all] for name, all in found.items()}
    ratio, passed = "", None
    if ours and "stock" in rates:
        paired = paired_ratio(rates["carillon"], rates["stock"])
        ratio, passed = f"{paired:.1f} of stock", paired >= OPENING_TARGET
    bench.row(
        f"opening {sizes.idle_streams:,} streams (carillon with login)",
        "streams opened",
        {name: f"{median(all):,.0f}/s" for name, all in rates.items()},
        ratio=ratio,
        target=f"≥ {OPENING_TARGET:.0f}",
        passed=passed,
    )


def _open_and_weigh(kind: type[Contender], streams: int) -> Opened:
    with rigs([kind]) as [rig]:
        rig.open(range(1, WARM_STREAMS + 1))
        rig.close()
        time.sleep(MEMORY_SETTLE_SECONDS)
        memory, threads = proc.memory_bytes(rig.contender.pid), proc.threads(rig.contender.pid)
        answer = rig.open(range(1, streams + 1))
        time.sleep(MEMORY_SETTLE_SECONDS)
        return Opened(
            rate=streams / answer["seconds"],
            bytes_each=(proc.memory_bytes(rig.contender.pid) - memory) / streams,
            threads_before=threads,
            threads=proc.threads(rig.contender.pid),
        )


def many(bench: Bench) -> None:
    """Open very many streams on one process of the site, and say something to each."""
    streams = bench.sizes.many_streams
    title = f"{streams:,} streams on one process"
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit < streams + 500:
        bench.note(f"{title}: not run, this machine allows {limit:,} open files only")
        return
    users = range(1, streams + 1)
    with rigs(bench.only("carillon")) as made:
        for rig in made:
            answer = rig.try_to_open(users)
            time.sleep(MEMORY_SETTLE_SECONDS)
            channels = [rig.contender.channel(user) for user in users]
            delivery = rig.deliver(streams, "flat_out", channels=channels, each=1)
            log = rig.contender.process.output
            errors = sum(" ERROR " in line or "Traceback" in line for line in log.splitlines())
            if errors:
                bench.note(f"{title}: the server said: {log[-2000:]}")
            bench.row(
                title,
                "open; served; errors",
                {rig.name: f"{answer['opened']:,}; {delivery.got:,}; {errors}"},
                ratio=f"open in {answer['seconds']:.1f} s, served in {delivery.seconds:.2f} s",
                target="all, no error",
                passed=answer["opened"] == delivery.got == streams and not errors,
            )
