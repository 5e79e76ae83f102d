"""
What every scenario is given: the sizes, the contenders, and where the figures go.
"""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from benchmarks.contenders.base import Contender
from benchmarks.report import Results, Row
from benchmarks.rig import Delivery, Rig
from benchmarks.sizes import Sizes

Measured = TypeVar("Measured")
SLOW = ("stock",)


@dataclass(slots=True)
class Bench:
    sizes: Sizes
    contenders: Sequence[type[Contender]]
    say: Callable[[str], None]
    results: Results = field(default_factory=Results)

    def only(self, *names: str) -> list[type[Contender]]:
        """Return those of the contenders that have these names."""
        return [kind for kind in self.contenders if kind.name in names]

    def interleaved(
        self,
        rigs: Iterable[Rig],
        measure: Callable[[Rig], Measured],
        repetitions: int | None = None,
    ) -> dict[str, list[Measured]]:
        """
        Measure each rig in turn, and all of them again, so that a noisy moment hits them alike.

        The n-th figures of two contenders were measured one right after the other.
        """
        rigs = list(rigs)
        found: dict[str, list[Measured]] = defaultdict(list)
        for repetition in range(repetitions or self.sizes.repetitions):
            for rig in rigs:
                if rig.name in SLOW and repetition >= self.sizes.repetitions_slow:
                    continue
                figure = measure(rig)
                found[rig.name].append(figure)
                self.say(f"    {rig.name}: {_brief(figure)}")
        return dict(found)

    def row(self, scenario: str, figure: str, values: dict[str, str], **rest: Any) -> None:
        row = Row(scenario, figure, values, **rest)
        self.results.rows.append(row)
        verdict = {None: "", True: "pass", False: "FALLS SHORT"}[row.passed]
        shown = ", ".join(f"{name} {value}" for name, value in values.items())
        self.say(f"  {scenario}: {figure}: {shown}; {row.ratio} {verdict}")

    def note(self, text: str) -> None:
        self.results.notes.append(text)
        self.say(f"  {text}")


def median(figures: Iterable[float]) -> float:
    return statistics.median(figures)


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios within pairs measured one after the other."""
    return statistics.median(
        mine / other for mine, other in zip(ours, theirs, strict=False) if other
    )


def shares(name: str, deliveries: Sequence[Delivery]) -> str:
    """Tell how busy each process was, in percent of a core, over the time of the delivery."""

    def share(seconds: Iterator[float]) -> str:
        total = sum(delivery.seconds for delivery in deliveries)
        return f"{sum(seconds) / total:.0%}" if total > 0 else "?"

    return (
        f"{name}: server {share(d.server_cpu for d in deliveries)}, "
        f"client {share(d.client_cpu for d in deliveries)}, "
        f"publisher {share(d.publisher_cpu for d in deliveries)}, "
        f"Redis {share(d.redis_cpu for d in deliveries)}"
    )


def _brief(figure: object) -> str:
    if isinstance(figure, Delivery):
        return (
            f"{figure.got:,} of {figure.expected:,} in {figure.seconds:.3f} s, "
            f"{figure.rate:,.0f}/s, CPU server {figure.server_cpu:.2f} client "
            f"{figure.client_cpu:.2f} publisher {figure.publisher_cpu:.2f} "
            f"Redis {figure.redis_cpu:.2f} s {figure.latency_us or ''}"
        )
    return str(figure)
