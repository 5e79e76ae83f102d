"""
Publishing: what it costs the one who says something.
"""

from benchmarks.bench import Bench, median, paired_ratio
from benchmarks.rig import Rig, rigs

PUBLISH_TARGET = 0.25  # of send_event's time, at most
MANY_TARGET = 25_000  # messages a second, at least


def publish(bench: Bench) -> None:
    """Time ``publish()`` and ``send_event()`` one by one, and ``publish_many()``."""
    sizes = bench.sizes

    def cost(rig: Rig) -> float:
        channel, calls = rig.contender.channel(1), sizes.publish_calls
        return float(rig.publisher.ask("cost", channel=channel, calls=calls)["us"])

    def many(rig: Rig) -> float:
        channels = [rig.contender.channel(user) for user in range(1, 101)]
        each = sizes.publish_many // len(channels)
        answer = rig.publisher.ask("flat_out", channels=channels, each=each)
        return float(each * len(channels) / answer["seconds"])

    with rigs(bench.only("carillon", "floor", "stock")) as made:
        for rig in made:
            rig.publisher.ask("cost", channel=rig.contender.channel(1), calls=100)  # warm
        times = bench.interleaved(made, cost)
        trips = {
            rig.name: rig.publisher.ask("round_trips", channel=rig.contender.channel(1))
            for rig in made
        }
        rates = bench.interleaved(made, many)
    ours = times.get("carillon")
    ratio, passed = "", None
    if ours and "stock" in times:
        paired = paired_ratio(ours, times["stock"])
        ratio, passed = f"{paired:.2f} of stock", paired <= PUBLISH_TARGET
    bench.row(
        "publish()",
        "time of one call",
        {name: f"{median(all):.0f} µs" for name, all in times.items()},
        ratio=ratio,
        target=f"≤ {PUBLISH_TARGET:.2f}",
        passed=passed,
    )
    bench.row(
        "publish()",
        "round trips",
        {name: str(answer["round_trips"]) for name, answer in trips.items()},
        target="1",
        passed=trips["carillon"]["round_trips"] == 1 if ours else None,
    )
    bench.row(
        "publish_many()",
        f"{sizes.publish_many:,} messages",
        {name: f"{median(all):,.0f}/s" for name, all in rates.items()},
        target=f"≥ {MANY_TARGET:,}/s",
        passed=median(rates["carillon"]) >= MANY_TARGET if ours else None,
    )
