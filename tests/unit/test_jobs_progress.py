"""Progress: honest, throttled, cheap, and no burden when Redis is away."""

import json
import time
import timeit

import pytest
from celery import shared_task
from django.contrib.auth.models import User

from notifications import storage
from notifications.channels import user_channel
from notifications.jobs import Progress, TrackedTask, progress
from notifications.jobs.models import Job, State
from notifications.jobs.progress import Rate, Reporter


@pytest.fixture
def eager(settings):
    """Tasks run here, at once, as Celery's own eager mode does."""
    from project.celery import app

    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def heard(monkeypatch) -> list[dict]:
    """What is published, in order, beside being published."""
    said = []
    publish = progress.publish

    def hear(channel, type, data, **kwargs):
        said.append(json.loads(json.dumps(data, default=str)))
        return publish(channel, type, data, **kwargs)

    monkeypatch.setattr(progress, "publish", hear)
    return said


@shared_task(base=TrackedTask)
def count_to(number: int, seconds: float = 0) -> int:
    helper(number, seconds)
    return number


def helper(number: int, seconds: float) -> None:
    """Nothing is passed along: the job is found by itself."""
    counted = Progress(number, unit="rows", message="Counting")
    for _ in range(number):
        counted.update()
        time.sleep(seconds / number)


@shared_task(base=TrackedTask)
def break_at(number: int) -> None:
    counted = Progress(10)
    counted.set(number)
    raise ValueError("the file ends too early")


@pytest.fixture
def owner(live_redis, db) -> User:
    return User.objects.create(username="somebody")


@pytest.mark.django_db(transaction=True)
class TestInAJob:
    def test_a_task_is_a_job_with_a_result_and_its_last_count(self, owner, eager):
        job = count_to.apply_async([7], owner=owner, title="Rows").job
        job.refresh_from_db()
        assert (job.state, job.result, job.current, job.total) == (State.SUCCEEDED, 7, 7, 7)
        assert (job.unit, job.message, job.title) == ("rows", "Counting", "Rows")
        assert job.task.endswith("count_to")

    def test_ticks_are_throttled_and_never_go_back(self, owner, eager, heard):
        began = time.monotonic()
        count_to.apply_async([3000], {"seconds": 1.0}, owner=owner)
        seconds = time.monotonic() - began
        counts = [data["current"] for data in heard]
        assert counts == sorted(counts)
        assert 3 <= len(heard) <= 10 * seconds + 1  # ten a second, however slow the machine
        assert [data["tick"] for data in heard] == list(range(1, len(heard) + 1))

    def test_many_counts_in_a_job_share_one_throttle(self, owner, eager, heard):
        @shared_task(base=TrackedTask, name="tests.many_counts")
        def many_counts() -> None:
            for _ in range(200):
                Progress(10).update()

        many_counts.apply_async(owner=owner)
        assert len(heard) <= 10

    def test_an_exception_fails_the_job_and_tells_the_owner_what_and_not_where(self, owner, eager):
        job = break_at.apply_async([4], owner=owner).job
        job.refresh_from_db()
        assert (job.state, job.error) == (State.FAILED, "ValueError: the file ends too early")
        assert job.current == 4
        assert "Traceback" not in json.dumps(job.as_event(), default=str)

    def test_a_title_is_made_from_the_tasks_name(self, owner, eager):
        assert count_to.apply_async([1], owner=owner).job.title == "Count to"

    def test_delay_works_and_belongs_to_nobody(self, live_redis, eager, db):
        result = count_to.delay(2)
        assert result.job.owner is None
        result.job.refresh_from_db()
        assert result.job.state == State.SUCCEEDED

    def test_one_job_does_not_leak_into_the_next(self, owner, eager):
        count_to.apply_async([5], owner=owner)
        assert progress._reporter.get() is None

    def test_redis_away_in_the_middle_costs_a_moment_and_the_end_is_right(
        self, owner, eager, live_redis, settings
    ):
        @shared_task(base=TrackedTask, name="tests.cut_off")
        def cut_off() -> str:
            counted = Progress(1000)
            live_redis.kill()
            started = time.monotonic()
            while time.monotonic() - started < 1:
                counted.update()
                time.sleep(0.005)
            return "done"

        started = time.monotonic()
        job = cut_off.apply_async(owner=owner).job
        assert time.monotonic() - started < 4
        job.refresh_from_db()
        assert (job.state, job.result) == (State.SUCCEEDED, "done")
        assert job.current > 10

    def test_the_row_is_brought_up_to_date_now_and_then(self, owner, monkeypatch):
        monkeypatch.setattr(progress, "SAVE_SECONDS", 0.0)
        job = Job.objects.create(owner=owner, title="t", task="t", state=State.RUNNING)
        token = progress._reporter.set(Reporter(job))
        try:
            Progress(10, unit="rows")
        finally:
            progress._reporter.reset(token)
        job = Job.objects.get(pk=job.pk)
        assert (job.total, job.unit) == (10, "rows")


def test_outside_a_job_it_counts_and_says_nothing():
    counted = Progress(10)
    counted.update(3)
    counted.set(2)
    assert counted.current == 3


def test_a_throttled_call_costs_less_than_a_microsecond():
    job = Job(title="t")
    job.owner_id = None
    token = progress._reporter.set(Reporter(job))
    try:
        counted = Progress(10**9)
        counted._reporter.due = time.monotonic() + 3600
        numbers = iter(range(1, 10**9))
        costs = timeit.repeat(lambda: counted.set(next(numbers)), number=20_000, repeat=7)
    finally:
        progress._reporter.reset(token)
    assert min(costs) / 20_000 < 1e-6


def test_a_rate_is_shown_when_it_means_something_and_does_not_jump():
    rate = Rate()
    assert rate.update(0, 0.0) is None
    assert rate.update(50, 0.5) is None
    steady = [rate.update(100 * t / 10, t / 10) for t in range(10, 100)]
    assert steady[-1] == pytest.approx(100, rel=0.01)
    after_a_jump = rate.update(100 * 9.9 + 1000, 10.0)
    assert after_a_jump < 350


def test_a_standstill_has_no_rate():
    rate = Rate()
    for t in range(100):
        value = rate.update(0, t / 10)
    assert value is None


def test_the_latest_value_carries_rate_and_time_left(live_redis, db):
    owner = User.objects.create(username="somebody")
    job = Job.objects.create(owner=owner, title="t", task="t", state=State.RUNNING)
    reporter = Reporter(job)
    job.current, job.total = 0, 100
    reporter.report()
    reporter._rate._started -= 2
    reporter._rate._last = (0, reporter._rate._last[1] - 2)
    job.current = 50
    reporter.report()
    [message] = storage.latest_values(user_channel(owner)).values()
    data = json.loads(message.data)
    assert data["rate"] == pytest.approx(25, rel=0.2)
    assert data["eta"] == pytest.approx(2, rel=0.2)
