"""The steps of a job: each once, each said after the commit."""

import uuid

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from notifications import storage
from notifications.channels import user_channel
from notifications.jobs import lifecycle
from notifications.jobs.models import Job, State

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def owner(live_redis) -> User:
    return User.objects.create(username="somebody")


@pytest.fixture
def job(owner) -> Job:
    return lifecycle.create(owner_id=owner.pk, title="Contacts", task="app.import")


def said(owner) -> list[tuple[str, int]]:
    import json

    log = storage.read(user_channel(owner), 1).log
    return [(data["state"], data["version"]) for data in (json.loads(m.data) for m in log)]


def test_a_job_lives_from_queued_to_done_and_each_step_is_said(job, owner):
    lifecycle.start(job.pk)
    lifecycle.succeed(job.pk, {"rows": 3})
    job.refresh_from_db()
    assert (job.state, job.version, job.result) == (State.SUCCEEDED, 3, {"rows": 3})
    assert job.created <= job.started <= job.finished
    assert job.duration == job.finished - job.started
    assert said(owner) == [("queued", 1), ("running", 2), ("succeeded", 3)]


def test_a_job_that_fails_tells_why(job, owner):
    lifecycle.start(job.pk)
    lifecycle.fail(job.pk, "ValueError: no such file", current=5, total=9)
    job.refresh_from_db()
    assert (job.state, job.error, job.current) == (State.FAILED, "ValueError: no such file", 5)
    assert said(owner)[-1] == ("failed", 3)


def test_a_step_that_comes_twice_or_too_late_changes_and_says_nothing(job, owner):
    lifecycle.start(job.pk)
    lifecycle.succeed(job.pk, 1)
    before = said(owner)
    assert lifecycle.succeed(job.pk, 2) is None
    assert lifecycle.fail(job.pk, "late") is None
    assert lifecycle.start(job.pk) is None
    assert lifecycle.start(uuid.uuid4()) is None
    job.refresh_from_db()
    assert (job.result, job.error) == (1, "")
    assert said(owner) == before


def test_a_job_in_a_transaction_that_is_rolled_back_never_was(owner):
    with pytest.raises(RuntimeError), transaction.atomic():
        lifecycle.create(owner_id=owner.pk, title="t", task="t")
        raise RuntimeError
    assert not Job.objects.exists()
    assert said(owner) == []


def test_the_end_removes_the_latest_value(job, owner):
    from notifications.publishing import publish

    lifecycle.start(job.pk)
    publish(user_channel(owner), "job", {}, key=job.key)
    lifecycle.succeed(job.pk, None)
    assert storage.latest_values(user_channel(owner)) == {}


@pytest.mark.parametrize("result", [{1, 2}, float("nan"), object()])
def test_a_result_that_is_not_json_is_kept_as_text(job, result, caplog):
    lifecycle.start(job.pk)
    lifecycle.succeed(job.pk, result)
    job.refresh_from_db()
    assert job.result == str(result)
    assert "is not JSON" in caplog.text


def test_a_job_without_an_owner_is_said_to_nobody(live_redis):
    job = lifecycle.create(owner_id=None, title="t", task="t")
    lifecycle.start(job.pk)
    with live_redis.client() as client:
        assert client.dbsize() == 0


def test_a_withdrawn_job_is_gone_and_pages_that_saw_it_are_told(job, owner):
    lifecycle.withdraw(job.pk, "The job could not be queued.")
    assert not Job.objects.exists()
    assert said(owner)[-1][0] == "failed"


def test_an_owner_who_is_deleted_leaves_the_job_to_the_staff(job, owner):
    owner.delete()
    lifecycle.start(job.pk)
    job.refresh_from_db()
    assert (job.owner, job.state) == (None, State.RUNNING)


def test_a_second_attempt_begins_with_an_empty_bar_and_keeps_the_first_start(job):
    first = lifecycle.start(job.pk, "worker@host")
    lifecycle.retrying(job.pk, "OSError: no route", attempt=1, current=5, fraction=0.5)
    job.refresh_from_db()
    assert (job.state, job.error, job.attempts) == (State.RETRYING, "OSError: no route", 1)
    again = lifecycle.start(job.pk, "other@host")
    assert (again.state, again.attempts, again.worker) == (State.RUNNING, 2, "other@host")
    assert (again.current, again.fraction, again.error, again.retry_at) == (0, None, "", None)
    assert again.started == first.started


def test_an_attempt_that_comes_back_late_does_not_end_the_one_that_took_its_place(job):
    lifecycle.start(job.pk)
    lifecycle.start(job.pk)
    assert lifecycle.fail(job.pk, "late", attempt=1) is None
    assert lifecycle.retrying(job.pk, "late", attempt=1) is None
    assert lifecycle.cancelled(job.pk, attempt=1, asked=False) is None
    assert lifecycle.fail(job.pk, "in time", attempt=2).error == "in time"


def test_a_lost_job_is_found_or_runs_again_with_a_higher_version(job, owner):
    lifecycle.start(job.pk)
    lifecycle.lose(job.pk, "gone")
    assert lifecycle.find(job.pk).finished is None
    lifecycle.lose(job.pk, "gone")
    assert lifecycle.start(job.pk).attempts == 2
    lifecycle.lose(job.pk, "gone")
    assert lifecycle.succeed(job.pk, 1).error == ""
    states = ["queued", "running", "lost", "running", "lost", "running", "lost", "succeeded"]
    assert said(owner) == [(state, n) for n, state in enumerate(states, 1)]


def test_a_job_that_never_started_is_not_found_but_may_start(job):
    lifecycle.lose(job.pk, "no message")
    assert lifecycle.find(job.pk) is None
    assert lifecycle.start(job.pk).state == State.RUNNING


@pytest.mark.parametrize("verb", ["start", "retrying", "lose"])
def test_a_job_that_is_to_be_cancelled_goes_nowhere_else(job, verb):
    lifecycle.start(job.pk)
    Job.objects.filter(pk=job.pk).update(cancel_requested=timezone.now())
    arguments = {"start": (), "retrying": ("why",), "lose": ("why",)}[verb]
    getattr(lifecycle, verb)(job.pk, *arguments)
    job.refresh_from_db()
    assert job.state == State.CANCELLED


def test_the_traceback_is_kept_and_not_said(job, owner):
    lifecycle.start(job.pk)
    lifecycle.fail(job.pk, "ValueError", traceback="secret line")
    job.refresh_from_db()
    assert job.traceback == "secret line"
    assert "secret" not in storage.read(user_channel(owner), 1).log[-1].data


def test_a_long_title_is_cut(owner):
    job = lifecycle.create(owner_id=owner.pk, title="x" * 500, task="t")
    job.refresh_from_db()
    assert len(job.title) == 200


def test_a_long_error_is_cut_so_that_it_fits_a_message(job, owner):
    lifecycle.start(job.pk)
    lifecycle.fail(job.pk, "x" * 100_000)
    job.refresh_from_db()
    assert (job.state, len(job.error)) == (State.FAILED, 1000)
    assert said(owner)[-1] == ("failed", 3)


def test_nul_characters_reach_no_database(job):
    lifecycle.start(job.pk)
    lifecycle.succeed(job.pk, {"a\0": ["b\0", {"c": "\0"}]})
    job.refresh_from_db()
    assert "\0" not in str(job.result)
    assert job.result == {"a\ufffd": ["b\ufffd", {"c": "\ufffd"}]}
