"""
Delivery: what arrives of what is published to open streams, how fast, and at what cost.
"""

from benchmarks.bench import Bench, median, paired_ratio, shares
from benchmarks.rig import Delivery, Rig, rigs

BURST_TARGET = 0.7  # of the floor's rate, at least
STEADY_TARGETS = (1.25, 1 / 6)  # CPU per delivery, of the floor's and of stock's, at most
FLOOD_TARGETS = (0.7, 6.0)  # of the floor's and of stock's rate, at least
SINGLE_TARGETS = (1.2, 1.5)  # p50 and p99, of the floor's, at most


def burst(bench: Bench) -> None:
    """Publish messages flat out on one channel with many streams."""
    sizes = bench.sizes

    def measure(rig: Rig) -> Delivery:
        rig.open([1] * sizes.burst_streams)
        expected = sizes.burst_streams * sizes.burst_messages
        channels = [rig.contender.channel(1)]
        delivery = rig.deliver(expected, "flat_out", channels=channels, each=sizes.burst_messages)
        rig.close()
        return delivery

    with rigs(bench.contenders) as made:
        found = bench.interleaved(made, measure)
    title = f"burst: {sizes.burst_messages} messages to {sizes.burst_streams} streams, flat out"
    _arrivals(bench, title, found, sizes.burst_messages)
    _rates(bench, title, found, BURST_TARGET)


def steady(bench: Bench) -> None:
    """Publish the same at a steady rate, one message at a time."""
    sizes = bench.sizes

    def measure(rig: Rig) -> Delivery:
        rig.open([1] * sizes.burst_streams)
        delivery = rig.deliver(
            sizes.burst_streams * sizes.burst_messages,
            "paced",
            channels=[rig.contender.channel(1)],
            total=sizes.burst_messages,
            per_second=sizes.steady_per_second,
        )
        rig.close()
        return delivery

    with rigs(bench.contenders) as made:
        found = bench.interleaved(made, measure, sizes.steady_repetitions)
    title = f"steady: the same at {sizes.steady_per_second}/s"
    costs = {name: [each.cpu_us for each in all] for name, all in found.items()}
    values = {name: f"{median(all):.1f} µs" for name, all in costs.items()}
    figure = "CPU per delivery"
    for other, target in zip(("floor", "stock"), STEADY_TARGETS, strict=True):
        if "carillon" in costs and other in costs:
            ratio = paired_ratio(costs["carillon"], costs[other])
            bench.row(
                title,
                figure,
                values,
                ratio=f"{ratio:.2f} of {other}",
                target=f"≤ {target:.2f}",
                passed=ratio <= target,
            )
    _arrivals(bench, title, found, sizes.burst_messages)
    _notes(bench, "steady", found)


def flood(bench: Bench) -> None:
    """Publish messages to each of many users flat out."""
    sizes = bench.sizes
    users = range(1, sizes.flood_users + 1)

    def measure(rig: Rig) -> Delivery:
        rig.open(users)
        delivery = rig.deliver(
            sizes.flood_users * sizes.flood_messages,
            "flat_out",
            channels=[rig.contender.channel(user) for user in users],
            each=sizes.flood_messages,
        )
        rig.close()
        return delivery

    with rigs(bench.contenders) as made:
        found = bench.interleaved(made, measure)
    title = f"flood: {sizes.flood_messages} messages to each of {sizes.flood_users:,} users"
    _arrivals(bench, title, found, sizes.flood_messages)
    _rates(bench, title, found, *FLOOD_TARGETS)


def single(bench: Bench) -> None:
    """Publish one message after another, each to one of many users, and time its way."""
    sizes = bench.sizes
    users = range(1, sizes.single_users + 1)
    total = sizes.single_per_second * sizes.single_seconds
    opened: set[str] = set()

    def measure(rig: Rig) -> Delivery:
        if rig.name not in opened:
            rig.open(users)
            opened.add(rig.name)
        return rig.deliver(
            total,
            "paced",
            latencies=True,
            channels=[rig.contender.channel(user) for user in users],
            total=total,
            per_second=sizes.single_per_second,
        )

    with rigs(bench.contenders) as made:
        found = bench.interleaved(made, measure)
    title = f"single: {sizes.single_per_second}/s over {sizes.single_users:,} users"
    for share, target in zip((0.5, 0.99), SINGLE_TARGETS, strict=True):
        times = {
            name: [each.latency_us.get(share, float("inf")) for each in all]
            for name, all in found.items()
        }
        values = {name: f"{median(all) / 1000:.2f} ms" for name, all in times.items()}
        ratio, passed = "", None
        if "carillon" in times and "floor" in times:
            paired = paired_ratio(times["carillon"], times["floor"])
            ratio, passed = f"{paired:.2f} of floor", paired <= target
        figure = f"p{share * 100:.0f} from publish() to client"
        bench.row(title, figure, values, ratio=ratio, target=f"≤ {target:.1f}", passed=passed)
    _notes(bench, "single", found)


def _arrivals(bench: Bench, title: str, found: dict[str, list[Delivery]], messages: int) -> None:
    """Add how many of a stream's messages arrived, for the worst-off stream of all."""
    values = {
        name: f"{min(each.fewest for each in all)} of {messages}" for name, all in found.items()
    }
    whole = all(each.got == each.expected for each in found.get("carillon", ()))
    passed = whole if "carillon" in found else None
    bench.row(title, "arrived, worst stream", values, target="all", passed=passed)


def _rates(bench: Bench, title: str, found: dict[str, list[Delivery]], *targets: float) -> None:
    rates = {name: [each.rate for each in all] for name, all in found.items()}
    values = {name: f"{median(all):,.0f}/s" for name, all in rates.items()}
    for other, target in zip(("floor", "stock"), targets, strict=False):
        if "carillon" in rates and other in rates:
            ratio = paired_ratio(rates["carillon"], rates[other])
            bench.row(
                title,
                "deliveries",
                values,
                ratio=f"{ratio:.2f} of {other}",
                target=f"≥ {target:.1f}",
                passed=ratio >= target,
            )
    _notes(bench, title.partition(":")[0], found)


def _notes(bench: Bench, scenario: str, found: dict[str, list[Delivery]]) -> None:
    """Say how busy everything was: a client at 100 % would have been the bottleneck."""
    text = "; ".join(shares(name, all) for name, all in found.items())
    bench.note(f"CPU, {scenario}, of one core: {text}")
