"""Every way in which a job can end, with a real worker."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.endings.site import EndingsSite
from tests.support.waiting import wait_until

# A job, and for it the message of a task that the workers don't have.
GONE = """[
    give.app.send_task("gone.task", task_id=str(job.pk)) and job
    for job in [give.apply_async([1], owner=owner, queue="nobodys").job]
][0]"""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, databases: Any) -> Iterator[EndingsSite]:
    site = EndingsSite(databases[request.param], request.param)
    try:
        site.start_beat()
        site.start_worker_with("--pool=prefork", "--concurrency=3")
        yield site
    finally:
        site.close()


def test_a_job_succeeds(site: EndingsSite) -> None:
    pk = site.queue("give args=[{'rows': 3}]")
    row = site.wait_for(pk, "succeeded")
    assert (row["result"], row["attempts"], row["error"]) == ({"rows": 3}, 1, "")
    assert row["created"] <= row["started"] <= row["finished"]
    assert "@" in row["worker"]
    assert site.states(pk) == ["queued", "running", "succeeded"]


def test_a_job_fails_and_keeps_its_traceback_for_the_staff(site: EndingsSite) -> None:
    pk = site.queue("fail args=['no such file']")
    row = site.wait_for(pk, "failed")
    assert row["error"] == "ValueError: no such file"
    assert "raise ValueError(reason)\nValueError: no such file" in row["traceback"]
    assert [line["text"] for line in row["log_tail"]] == ["about to fail"]
    told = site.said(pk)[-1]
    assert (told["state"], told["error"], told["canRetry"]) == ("failed", row["error"], True)
    assert "raise ValueError" not in json.dumps(told)


def test_a_job_that_retries_says_which_attempt_and_until_when_it_waits(site: EndingsSite) -> None:
    pk = site.queue("retry_twice args=[1.0]")
    row = site.wait_for(pk, "retrying")
    assert row["error"] == "ValueError: not yet"
    assert row["retry_at"]
    row = site.wait_for(pk, "succeeded")
    assert (row["result"], row["attempts"], row["error"]) == ("at last", 3, "")
    waits = ["running", "retrying"]
    assert site.states(pk) == ["queued", *waits, *waits, "running", "succeeded"]


def test_autoretry_ends_in_failure_after_the_last_attempt(site: EndingsSite) -> None:
    pk = site.queue("retry_by_itself")
    row = site.wait_for(pk, "failed")
    assert (row["error"], row["attempts"]) == ("OSError: no route", 2)
    assert site.states(pk) == ["queued", "running", "retrying", "running", "failed"]


def test_a_job_that_rejects_its_message_has_failed(site: EndingsSite) -> None:
    row = site.wait_for(site.queue("reject"), "failed")
    assert row["error"] == "Reject: not for me"


def test_a_job_that_puts_its_message_back_runs_again(site: EndingsSite) -> None:
    pk = site.queue("reject kwargs={'requeue': True}")
    row = site.wait_for(pk, "succeeded")
    assert (row["result"], row["attempts"]) == ("taken again", 2)
    assert "retrying" in site.states(pk)


def test_a_job_goes_on_as_the_task_that_replaces_it(site: EndingsSite) -> None:
    pk = site.queue("become_another args=[4, 'celery']")
    assert site.wait_for(pk, "succeeded")["result"] == 8
    pk = site.queue("become_another args=[4, 'nobodys']")
    wait_until(lambda: site.states(pk) == ["queued", "running", "queued"], 10)
    assert site.row(pk)["queue"] == "nobodys"
    site.act("cancel", pk)
    assert site.row(pk)["state"] == "cancelled"


def test_a_job_that_gives_up_is_cancelled(site: EndingsSite) -> None:
    row = site.wait_for(site.queue("ignore"), "cancelled")
    assert row["error"] == "nothing to do"


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("pass_the_soft_limit", "SoftTimeLimitExceeded"),
        ("pass_the_hard_limit", "TimeLimitExceeded"),
    ],
)
def test_a_job_past_its_time_limit_has_failed(site: EndingsSite, task: str, kind: str) -> None:
    row = site.wait_for(site.queue(task), "failed")
    assert row["error"] == f"{kind}: It took longer than it may."


def test_a_job_that_was_killed_keeps_what_it_had_said(site: EndingsSite) -> None:
    pk = site.queue("pass_the_hard_limit")
    row = site.wait_for(pk, "failed")
    assert (row["current"], row["fraction"], row["message"]) == (4, 0.4, "Counting")
    assert [line["text"] for line in row["log_tail"]] == ["about to be killed"]
    told = site.said(pk)[-1]
    assert (told["state"], told["fraction"]) == ("failed", 0.4)


def test_a_job_whose_task_is_gone_has_failed(site: EndingsSite) -> None:
    pk = site.start(GONE)
    assert site.wait_for(pk, "failed")["error"] == "There is no such task any more."


def revoke(site: EndingsSite, pk: str, **options: Any) -> None:
    site.shell(f"from celery import current_app\ncurrent_app.control.revoke({pk!r}, **{options!r})")


def test_a_job_that_is_revoked_before_it_runs_is_cancelled(site: EndingsSite) -> None:
    pk = site.queue("give args=[1], countdown=2")
    revoke(site, pk)
    site.wait_for(pk, "cancelled")
    assert site.states(pk) == ["queued", "cancelled"]


def test_a_job_that_is_revoked_while_it_runs_is_cancelled(site: EndingsSite) -> None:
    pk = site.queue("be_stubborn")
    site.wait_for(pk, "running")
    revoke(site, pk, terminate=True)
    site.wait_for(pk, "cancelled")
    assert site.states(pk) == ["queued", "running", "cancelled"]


def test_a_job_that_expired_has_failed(site: EndingsSite) -> None:
    pk = site.queue("give args=[1], countdown=2, expires=1")
    assert "expired" in site.wait_for(pk, "failed")["error"]


def test_a_job_whose_process_dies_runs_again_where_celery_delivers_it_again(
    site: EndingsSite,
) -> None:
    pk = site.queue("die_once")
    row = site.wait_for(pk, "succeeded")
    assert (row["result"], row["attempts"]) == ("survived", 2)
    assert site.states(pk) == ["queued", "running", "retrying", "running", "succeeded"]


def test_a_job_that_kills_its_process_each_time_has_failed_in_the_end(site: EndingsSite) -> None:
    pk = site.queue("die_always")
    row = site.wait_for(pk, "failed")
    assert (row["error"], row["attempts"]) == ("The process that ran it has died 3 times.", 3)


def test_a_job_whose_process_dies_is_lost_where_it_is_not_delivered_again(
    site: EndingsSite,
) -> None:
    row = site.wait_for(site.queue("die"), "lost")
    assert row["error"] == "The process that ran it has died."


def test_a_cancelled_job_stops_where_it_reports_and_cleans_up(site: EndingsSite) -> None:
    pk = site.queue("count title='to be cancelled'")
    site.wait_for(pk, "running")
    site.act("cancel", pk)
    site.wait_for(pk, "cancelled", seconds=5)
    assert "cleaned up to be cancelled" in site.marks


def test_a_cancelled_job_that_does_not_listen_is_ended_by_force(site: EndingsSite) -> None:
    pk = site.queue("be_stubborn")
    site.wait_for(pk, "running")
    site.act("cancel", pk)
    row = site.wait_for(pk, "cancelled", seconds=15)
    assert row["cancel_requested"] < row["finished"]


def test_a_cancelled_job_that_waits_never_starts(site: EndingsSite) -> None:
    pk = site.queue("give args=[1], countdown=1")
    site.act("cancel", pk)
    assert site.row(pk)["state"] == "cancelled"
    # The next one that waits as long is through: so the first was delivered too.
    site.wait_for(site.queue("give args=[2], countdown=2"), "succeeded")
    assert site.row(pk)["state"] == "cancelled"
    assert site.row(pk)["attempts"] == 0


def test_a_failed_job_is_tried_again_with_the_same_arguments(site: EndingsSite) -> None:
    pk = site.queue("fail kwargs={'reason': 'the disk'}, title='Once more'")
    site.wait_for(pk, "failed")
    again = site.act("retry", pk)
    row = site.wait_for(again, "failed")
    assert again != pk
    assert (row["error"], row["title"]) == ("ValueError: the disk", "Once more")
    assert not site.said(pk)[-1]["canRetry"]


def test_a_result_that_is_not_json_is_kept_as_text(site: EndingsSite) -> None:
    row = site.wait_for(site.queue("give_no_json"), "succeeded")
    assert row["result"] == "{1, 2}"
    assert row["result_note"]
    wait_until(lambda: "is not JSON" in site.logs, 5)


def test_a_result_of_10_mb_is_stored_whole_and_not_sent(site: EndingsSite) -> None:
    pk = site.queue("give_much")
    row = site.wait_for(pk, "succeeded")
    assert len(row["result"]) == 10 * 1024 * 1024
    assert len(json.dumps(site.said(pk)[-1])) < 2000


def test_a_cut_connection_to_the_database_costs_no_job(site: EndingsSite) -> None:
    if site.engine == "sqlite":
        pytest.skip("SQLite has no connections that could be cut")
    pk = site.queue("be_stubborn args=[1.5]")  # it has no use for the database meanwhile
    site.wait_for(pk, "running")
    site.shell(
        "from django.db import connection\n"
        "connection.cursor().execute('SELECT pg_terminate_backend(pid) FROM pg_stat_activity'\n"
        "    ' WHERE datname = current_database() AND pid != pg_backend_pid()')"
    )
    site.wait_for(pk, "succeeded")
    assert site.states(pk) == ["queued", "running", "succeeded"]
