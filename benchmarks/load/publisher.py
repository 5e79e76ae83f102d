"""
The publisher: says what it is asked to, through the contender's own way in.

Run by ``Worker`` with the name of the way, see ``WAYS``; the environment says where Redis or the
server is. Times are CLOCK_MONOTONIC in nanoseconds.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.load import ways
from benchmarks.load.payload import text

SPIN_SECONDS = 0.0003  # the last bit of a wait is spent awake: sleeping would overshoot


class Publisher:
    def __init__(self, way: ways.Way) -> None:
        self._way = way

    def flat_out(self, channels: Sequence[str], each: int) -> dict[str, Any]:
        """Publish ``each`` messages on each channel, in rounds, as fast as this way goes."""
        # Stamped before: what is to be measured is the server.
        items = [(channel, text()) for _ in range(each) for channel in channels]
        started, cpu = time.monotonic_ns(), time.process_time()
        self._way.many(items)
        ended = time.monotonic_ns()
        return {
            "started_ns": started,
            "seconds": (ended - started) / 1e9,
            "cpu": time.process_time() - cpu,
        }

    def paced(self, channels: Sequence[str], total: int, per_second: float) -> dict[str, Any]:
        """Publish ``total`` messages one by one, over the channels in turn, at a steady rate."""
        started, cpu = time.monotonic_ns(), time.process_time()
        start = time.monotonic()
        for number in range(total):
            due = start + number / per_second
            if (wait := due - time.monotonic() - SPIN_SECONDS) > 0:
                time.sleep(wait)
            while time.monotonic() < due:
                pass
            self._way.one(channels[number % len(channels)], text())
        return {
            "started_ns": started,
            "seconds": time.monotonic() - start,
            "cpu": time.process_time() - cpu,
        }

    def cost(self, channel: str, calls: int) -> dict[str, Any]:
        """Publish one by one without a pause; the median time of a call in microseconds."""
        one, times = self._way.one, []
        for _ in range(calls):
            message = text()
            before = time.perf_counter_ns()
            one(channel, message)
            times.append(time.perf_counter_ns() - before)
        return {"us": statistics.median(times) / 1000}

    def round_trips(self, channel: str) -> dict[str, Any]:
        """Count how often one call, with connections warm, sends something and waits."""
        import redis.connection

        self._way.one(channel, text())
        sent = 0
        original = redis.connection.AbstractConnection.send_packed_command

        def counting(*args: Any, **kwargs: Any) -> Any:
            nonlocal sent
            sent += 1
            return original(*args, **kwargs)  # type: ignore[no-untyped-call]

        redis.connection.AbstractConnection.send_packed_command = counting  # type: ignore[method-assign]
        try:
            self._way.one(channel, text())
        finally:
            redis.connection.AbstractConnection.send_packed_command = original  # type: ignore[method-assign]
        return {"round_trips": sent}

    def fill(self, channels: Sequence[str], each: int) -> dict[str, Any]:
        """Give each channel a history; return a cursor behind which ``each`` messages follow."""
        return {"cursors": self._way.fill(channels, each)}


COMMANDS = ("flat_out", "paced", "cost", "round_trips", "fill")


def main(make_way: Callable[[], ways.Way]) -> None:
    publisher = Publisher(make_way())
    for line in sys.stdin:
        command, arguments = json.loads(line)
        assert command in COMMANDS, command
        print(json.dumps(getattr(publisher, command)(**arguments)), flush=True)


if __name__ == "__main__":
    main(ways.WAYS[sys.argv[1]])
