"""
A rig: one contender with a client and a publisher, and what a delivery over it costs.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.contenders.base import Contender
from benchmarks.load.worker import Worker
from benchmarks.proc import cpu_seconds

SETTLE_SECONDS = 0.5  # between the last stream's opening and the first message
QUIET_SECONDS = 4.0  # without any event: the rest won't come


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of one publication to many streams; CPU times in seconds."""

    expected: int
    got: int
    fewest: int  # events that the worst-off stream got
    seconds: float  # from the publisher's start to the last arrival
    server_cpu: float
    client_cpu: float
    publisher_cpu: float
    redis_cpu: float
    latency_us: dict[float, float]

    @property
    def rate(self) -> float:
        return self.got / self.seconds if self.seconds > 0 else 0.0

    @property
    def cpu_us(self) -> float:
        """The server's CPU time for each event that arrived."""
        return self.server_cpu / self.got * 1e6 if self.got else float("inf")


class Rig:
    def __init__(self, contender: Contender, client: Worker, publisher: Worker) -> None:
        self.contender = contender
        self.client = client
        self.publisher = publisher

    @property
    def name(self) -> str:
        return self.contender.name

    def open(self, users: Sequence[int], **options: Any) -> Any:
        """Open a stream for each of ``users``; fail where one does not open."""
        answer = self.try_to_open(users, **options)
        assert answer["opened"] == len(users), f"{self.name}: {answer}"
        time.sleep(SETTLE_SECONDS)
        return answer

    def try_to_open(self, users: Sequence[int], **options: Any) -> Any:
        return self.client.ask("open", **self.contender.opening(users, **options))

    def close(self) -> None:
        """Break all streams off, and wait until the server has seen it."""
        self.client.ask("close")
        time.sleep(SETTLE_SECONDS)

    def deliver(
        self, expected: int, command: str, *, latencies: bool = False, **arguments: Any
    ) -> Delivery:
        """Have the publisher run ``command``, and collect what arrives."""
        self.client.ask("expect", count=expected, latencies=latencies)
        server, redis = cpu_seconds(self.contender.pid), cpu_seconds(self.contender.redis.pid)
        self.client.send("collect", quiet=QUIET_SECONDS, seconds=120)
        said = self.publisher.ask(command, **arguments)
        got = self.client.receive()
        return Delivery(
            expected=expected,
            got=got["got"],
            fewest=got["fewest"],
            seconds=(got["last_ns"] - said["started_ns"]) / 1e9,
            server_cpu=cpu_seconds(self.contender.pid) - server,
            client_cpu=got["cpu"],
            publisher_cpu=said["cpu"],
            redis_cpu=cpu_seconds(self.contender.redis.pid) - redis,
            latency_us={float(share): value for share, value in got["latency_us"].items()},
        )


@contextmanager
def rigs(contenders: Sequence[type[Contender]]) -> Iterator[list[Rig]]:
    """Run contenders side by side, each with its own Redis, client and publisher."""
    with ExitStack() as stack:
        made = []
        for kind in contenders:
            contender = stack.enter_context(kind())
            client = stack.enter_context(Worker("benchmarks.load.client"))
            publisher = stack.enter_context(contender.publisher())
            made.append(Rig(contender, client, publisher))
        yield made
