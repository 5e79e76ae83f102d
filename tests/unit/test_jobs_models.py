"""What a row says of itself."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from notifications.jobs.models import FINISHED, UNFINISHED, Job, State
from notifications.messages import encode_data

NOW = timezone.now()


def test_every_state_has_ended_or_has_not():
    assert set(State) == FINISHED | UNFINISHED
    assert not FINISHED & UNFINISHED


@pytest.mark.parametrize("state", State)
def test_a_job_can_be_cancelled_once_while_it_has_not_ended(state):
    assert Job(state=state).can_cancel == (state in {"queued", "running", "retrying"})
    assert not Job(state=state, cancel_requested=NOW).can_cancel


@pytest.mark.parametrize("state", State)
def test_a_job_can_be_tried_again_where_it_ended_badly_and_allows_it(state):
    assert Job(state=state, retryable=True).can_retry == (state in {"failed", "cancelled", "lost"})
    assert not Job(state=state).can_retry
    assert not Job(state=state, retryable=True, parent=Job()).can_retry


def test_times_of_a_job():
    job = Job(created=NOW)
    assert (job.queue_time, job.duration) == (None, None)
    job.started = NOW + timedelta(seconds=3)
    assert (job.queue_time, job.duration) == (timedelta(seconds=3), None)
    job.finished = NOW + timedelta(seconds=10)
    assert job.duration == timedelta(seconds=7)


def test_no_time_is_negative_although_the_clocks_of_two_machines_differ():
    job = Job(created=NOW, started=NOW - timedelta(seconds=2), finished=NOW - timedelta(seconds=3))
    assert (job.queue_time, job.duration) == (timedelta(), timedelta())


def test_the_largest_state_fits_a_message():
    wide = "\U0001f600"
    steps = [{"title": wide * 100, "state": "running", "fraction": 0.123456}] * 40
    job = Job(title=wide * 200, message=wide * 200, unit=wide * 20, error=wide * 1000, steps=steps)
    data = job.as_event()
    assert len(data["steps"]) == 20
    assert len(encode_data(data).encode()) < 32 * 1024


def test_nothing_large_or_private_is_in_a_message():
    job = Job(result="R" * 99, traceback="T" * 99, arguments=["A" * 99], log_tail=["L" * 99])
    text = encode_data(job.as_event())
    assert not {"RRR", "TTT", "AAA", "LLL"} & {text[n : n + 3] for n in range(len(text))}


def test_a_group_tells_of_its_members():
    job = Job(members_total=12, members_done=3, members_failed=1)
    assert json.loads(encode_data(job.as_event()))["members"] == {
        "total": 12,
        "done": 3,
        "failed": 1,
    }
    assert Job().as_event()["members"] is None
