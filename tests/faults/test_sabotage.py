"""The history checker can fail: a part of the delivery is taken out, and it says what is wrong.

Each schedule is short and always the same, and passes where nothing is taken out.
"""

from collections.abc import Awaitable, Callable

import pytest

from notifications import storage
from tests.support.history_publisher import publish_recorded, publish_unheard
from tests.support.history_run import Report, Run, Size

SMALL = Size(webs=1, users=1, clients_each=2)
RIGHT_PREV = "redis.call('HSET', head, 'id', id, 'log', id)"
WRONG_PREV = "redis.call('HSET', head, 'id', id)"

Schedule = Callable[[Run], Awaitable[None]]


async def one_message_goes_unheard(run: Run) -> None:
    (channel,) = run.channels
    for text in ("m1", "m2"):
        run.history.publications.append(publish_recorded(channel, text, ""))
        await run.heard(text)
    run.history.publications.append(publish_unheard(channel, "unheard", ""))
    run.history.publications.append(publish_recorded(channel, "m4", ""))


async def the_connection_is_cut(run: Run) -> None:
    (channel,) = run.channels
    run.history.publications.append(publish_recorded(channel, "before", ""))
    await run.faults.break_redis_once("cut-pubsub")
    run.history.publications.append(publish_recorded(channel, "after", ""))


async def report_of(databases, schedule: Schedule, sabotage: str = "") -> Report:
    env = {}
    if sabotage:
        settings = "tests.support.history_sabotage"
        env = {"DJANGO_SETTINGS_MODULE": settings, "SABOTAGE": sabotage}
    async with Run(databases["sqlite"], sabotage or "nothing", SMALL, env) as run:
        await schedule(run)
        report = await run.finish()
    print(report)
    return report


@pytest.mark.parametrize("schedule", [one_message_goes_unheard, the_connection_is_cut])
async def test_the_checker_finds_nothing_where_nothing_is_taken_out(databases, schedule):
    report = await report_of(databases, schedule)
    assert report.good, str(report)


async def test_the_checker_finds_that_the_gap_check_is_missing(databases):
    report = await report_of(databases, one_message_goes_unheard, "without_gap_check")
    assert {(finding.rule, finding.text.split()[0]) for finding in report.findings} == {
        ("lost", "unheard")
    }


async def test_the_checker_finds_that_prev_is_wrong(databases, monkeypatch):
    assert RIGHT_PREV in storage.PUBLISH
    monkeypatch.setattr(storage, "PUBLISH", storage.PUBLISH.replace(RIGHT_PREV, WRONG_PREV))
    report = await report_of(databases, one_message_goes_unheard)
    assert ("lost", "unheard") in {
        (finding.rule, finding.text.split()[0]) for finding in report.findings
    }


async def test_the_checker_finds_that_the_resubscription_is_missing(databases):
    report = await report_of(databases, the_connection_is_cut, "without_resubscription")
    assert {"lost", "not at the end"} <= {finding.rule for finding in report.findings}
    assert "after" in {finding.text.split()[0] for finding in report.findings}
