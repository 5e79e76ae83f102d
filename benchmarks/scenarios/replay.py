"""
Replay: clients that come back and get what they missed, each from its own channel.
"""

from typing import NamedTuple

from benchmarks.bench import Bench, median, paired_ratio
from benchmarks.proc import cpu_seconds
from benchmarks.rig import QUIET_SECONDS, Rig, rigs

REPLAY_TARGET = 20.0  # of stock's rate, at least
REPLAY_REPETITIONS = 3


class Replayed(NamedTuple):
    rate: float  # messages per second
    complete: bool
    server_cpu: float
    client_cpu: float


def replay(bench: Bench) -> None:
    """Have all clients resume at once, each many messages behind."""
    sizes = bench.sizes
    cursors: dict[str, list[str]] = {}

    def measure(rig: Rig) -> Replayed:
        clients = len(cursors[rig.name])
        expected = clients * sizes.replay_messages
        cpu = cpu_seconds(rig.contender.pid)
        answer = rig.try_to_open(
            range(1, clients + 1), cursors=cursors[rig.name], expected=expected
        )
        got = rig.client.ask("collect", quiet=QUIET_SECONDS, seconds=120)
        seconds = (got["last_ns"] - answer["started_ns"]) / 1e9
        rig.close()
        return Replayed(
            rate=got["got"] / seconds,
            complete=got["got"] == expected and got["fewest"] == sizes.replay_messages,
            server_cpu=cpu_seconds(rig.contender.pid) - cpu,
            client_cpu=answer["cpu"] + got["cpu"],
        )

    with rigs(bench.only("carillon", "stock")) as made:
        for rig in made:
            slow = rig.name == "stock"
            clients = sizes.replay_clients_slow if slow else sizes.replay_clients
            channels = [rig.contender.channel(user) for user in range(1, clients + 1)]
            answer = rig.publisher.ask("fill", channels=channels, each=sizes.replay_messages)
            cursors[rig.name] = answer["cursors"]
        found = bench.interleaved(made, measure, REPLAY_REPETITIONS)
    title = f"replay: {sizes.replay_clients:,} clients, {sizes.replay_messages} messages each"
    rates = {name: [each.rate for each in all] for name, all in found.items()}
    ours = found.get("carillon")
    bench.row(
        title,
        "all arrived",
        {
            name: "yes" if all(each.complete for each in each_time) else "no"
            for name, each_time in found.items()
        },
        target="no loss",
        passed=all(each.complete for each in ours) if ours else None,
    )
    ratio, passed = "", None
    if ours and "stock" in rates:
        paired = paired_ratio(rates["carillon"], rates["stock"])
        ratio, passed = f"{paired:.1f} of stock", paired >= REPLAY_TARGET
    bench.row(
        title,
        f"messages (stock: {sizes.replay_clients_slow} clients)",
        {name: f"{median(all):,.0f}/s" for name, all in rates.items()},
        ratio=ratio,
        target=f"≥ {REPLAY_TARGET:.0f}",
        passed=passed,
    )
