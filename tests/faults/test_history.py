"""The history checker: everything is broken, and nothing may be lost in silence."""

import pytest

from tests.support.history_run import Size, run

SECONDS = 25.0
SEEDS = ("allegro", "brio", "calando", "dolce")


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_lost_in_silence_whatever_breaks(databases, record_property, seed):
    report = await run(databases["sqlite"], seed, SECONDS, Size())
    record_property("history", report.summary)
    assert report.good, str(report)
    assert report.counts["log messages received"] > 100
