"""
Tracking: what a task pays for saying how far it is.
"""

from contextlib import closing

from benchmarks.bench import Bench, median, paired_ratio
from benchmarks.load.worker import Worker
from benchmarks.redis import Redis

TRACK_TARGET = 1.0  # of tqdm's time for an iteration, at most
SET_TARGET_NS = 1000
PUBLISHES_TARGET = 10  # a second

LOOP_WAYS = ("track", "tqdm")
COUNT_WAYS = ("set", "tqdm", "celery-progress")


def tracking(bench: Bench) -> None:
    """Time ``track()`` beside tqdm, and ``Progress.set()`` beside tqdm and celery-progress."""
    if not bench.only("carillon"):
        return
    sizes = bench.sizes
    calls = {"celery-progress": sizes.track_calls_slow}
    with (
        closing(Redis()) as redis,
        Worker(
            "benchmarks.load.tracker",
            env={"REDIS_URL": redis.url, "SECRET_KEY": "only for measuring"},
        ) as tracker,
    ):
        loops: dict[str, list[float]] = {way: [] for way in LOOP_WAYS}
        counts: dict[str, list[float]] = {way: [] for way in COUNT_WAYS}
        for _ in range(sizes.repetitions):
            for way in LOOP_WAYS:
                cost = tracker.ask("loop", way=way, items=sizes.track_items)
                loops[way] += [] if cost is None else [cost]
            for way in COUNT_WAYS:
                cost = tracker.ask("count", way=way, calls=calls.get(way, sizes.track_calls))
                counts[way] += [] if cost is None else [cost]
        rate = tracker.ask("publishes", seconds=sizes.track_seconds)
    ratio, passed = "tqdm is not installed", None
    if loops["tqdm"]:
        paired = paired_ratio(loops["track"], loops["tqdm"])
        ratio, passed = (
            f"{paired:.2f} of tqdm's {median(loops['tqdm']):.0f} ns",
            paired <= TRACK_TARGET,
        )
    bench.row(
        "track()",
        "time of one iteration",
        {"carillon": f"{median(loops['track']):.0f} ns"},
        ratio=ratio,
        target=f"≤ {TRACK_TARGET:.2f}",
        passed=passed,
    )
    others = [
        f"{name} {median(counts[name]) / 1000:,.1f} µs"
        for name in ("tqdm", "celery-progress")
        if counts[name]
    ]
    cost = median(counts["set"])
    bench.row(
        "Progress.set()",
        "time of one call",
        {"carillon": f"{cost / 1000:.2f} µs"},
        ratio=", ".join(others),
        target=f"≤ {SET_TARGET_NS / 1000:.0f} µs",
        passed=cost <= SET_TARGET_NS,
    )
    bench.row(
        "Progress.set()",
        "publishes a second",
        {"carillon": f"{rate:.1f}"},
        target=f"≤ {PUBLISHES_TARGET}",
        passed=rate <= PUBLISHES_TARGET,
    )
