"""The history checker can fail: a part of the delivery is taken out, and it says what is wrong.

Each schedule is short and always the same, and passes where nothing is taken out.
"""

from collections.abc import Awaitable, Callable

import pytest

from notifications import storage
from notifications.scripts import Script
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


@pytest.fixture
def report_of(databases, record_property):
    async def report(schedule: Schedule, name: str, sabotage: str = "") -> Report:
        env = {}
        if sabotage:
            settings = "tests.support.history_sabotage"
            env = {"DJANGO_SETTINGS_MODULE": settings, "SABOTAGE": sabotage}
        async with Run(databases["sqlite"], f"{schedule.__name__}, {name}", SMALL, env) as run:
            await schedule(run)
            report = await run.finish()
        record_property("history", report.summary)
        print(report)
        return report

    return report


def found(report: Report) -> set[tuple[str, str]]:
    """Return the rules that were broken, and the message or value that each finding begins with."""
    return {(finding.rule, finding.text.split()[0]) for finding in report.findings}


@pytest.mark.parametrize("schedule", [one_message_goes_unheard, the_connection_is_cut])
async def test_the_checker_finds_nothing_where_nothing_is_taken_out(report_of, schedule):
    report = await report_of(schedule, "nothing taken out")
    assert report.good, str(report)


async def test_the_checker_finds_that_the_gap_check_is_missing(report_of):
    name = "without_gap_check"
    report = await report_of(one_message_goes_unheard, name, name)
    assert found(report) == {("lost", "unheard")}


async def test_the_checker_finds_that_prev_is_wrong(report_of, monkeypatch):
    assert RIGHT_PREV in storage.PUBLISH.text
    wrong = Script(storage.PUBLISH.text.replace(RIGHT_PREV, WRONG_PREV))
    monkeypatch.setattr(storage, "PUBLISH", wrong)
    report = await report_of(one_message_goes_unheard, "with_wrong_prev")
    assert ("lost", "unheard") in found(report)


async def test_the_checker_finds_that_the_resubscription_is_missing(report_of):
    name = "without_resubscription"
    report = await report_of(the_connection_is_cut, name, name)
    assert {"lost", "not at the end"} <= {rule for rule, _ in found(report)}
    assert "after" in {text for _, text in found(report)}
