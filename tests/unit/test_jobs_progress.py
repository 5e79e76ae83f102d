"""Progress: honest, throttled, cheap, and no burden when Redis is away."""

import json
import math
import time
import timeit
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from decimal import Decimal

import pytest
from celery import shared_task
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from notifications import storage
from notifications.channels import user_channel
from notifications.jobs import Progress, TrackedTask, lifecycle, log, reporter
from notifications.jobs.models import Job, State
from notifications.jobs.rate import Rate
from notifications.jobs.reporter import begin, end
from notifications.jobs.running import current_reporter
from tests.support.waiting import wait_until


@pytest.fixture
def eager(settings):
    """Tasks run here, at once, as Celery's own eager mode does."""
    from project.celery import app

    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def heard(monkeypatch) -> list[dict]:
    """The progress that is published, in order, beside being published."""
    said = []
    publish_many = reporter.publish_many

    def hear(drafts):
        said.extend(json.loads(json.dumps(draft.data, default=str)) for draft in drafts)
        return publish_many(drafts)

    monkeypatch.setattr(reporter, "publish_many", hear)
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


@pytest.fixture
def job(owner) -> Job:
    """One that runs here."""
    job = Job.objects.create(owner=owner, title="t", task="t", state=State.RUNNING)
    begin(job)
    yield job
    while end():
        pass


def latest(owner: User) -> dict:
    [message] = storage.latest_values(user_channel(owner)).values()
    return json.loads(message.data)


@pytest.mark.django_db(transaction=True)
class TestInATask:
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

    def test_delay_works_and_belongs_to_nobody(self, live_redis, eager, db):
        result = count_to.delay(2)
        assert result.job.owner is None
        result.job.refresh_from_db()
        assert result.job.state == State.SUCCEEDED

    def test_one_job_does_not_leak_into_the_next(self, owner, eager):
        count_to.apply_async([5], owner=owner)
        assert current_reporter() is None

    def test_a_job_within_a_job_leaves_the_outer_one_running(self, owner, eager):
        @shared_task(base=TrackedTask, name="tests.outer")
        def outer() -> None:
            counted = Progress(10, message="Outer")
            counted.set(3)
            count_to.apply_async([5], owner=owner)
            counted.set(4)
            Progress(8, message="After").set(6)

        job = outer.apply_async(owner=owner).job
        job.refresh_from_db()
        assert (job.state, job.message, job.current) == (State.SUCCEEDED, "After", 6)

    def test_redis_away_in_the_middle_costs_a_moment_and_the_end_is_right(
        self, owner, eager, live_redis
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

    def test_redis_that_hangs_costs_a_task_little_of_its_time(self, owner, eager, live_redis):
        @shared_task(base=TrackedTask, name="tests.hanging")
        def hanging() -> int:
            counted = Progress(10**9)
            live_redis.freeze()
            try:
                started = time.monotonic()
                while time.monotonic() - started < 6:
                    counted.update()
                    time.sleep(0.01)
            finally:
                live_redis.thaw()
            return int(counted.current)

        job = hanging.apply_async(owner=owner).job
        job.refresh_from_db()
        assert job.result > 100  # of about 600

    def test_the_last_state_arrives_when_redis_is_back(self, job, live_redis, owner, monkeypatch):
        monkeypatch.setattr(reporter, "RETRY_FIRST_SECONDS", 0.2)
        counted = Progress(10)
        live_redis.kill()
        time.sleep(0.15)
        counted.set(7)
        live_redis.start()
        # The task says nothing more.
        wait_until(lambda: storage.latest_values(user_channel(owner)), 10)
        wait_until(lambda: latest(owner)["current"] == 7, 10)

    def test_the_row_is_brought_up_to_date_now_and_then(self, owner, monkeypatch):
        monkeypatch.setattr(reporter, "SAVE_SECONDS", 0.0)
        job = Job.objects.create(owner=owner, title="t", task="t", state=State.RUNNING)
        begin(job)
        try:
            Progress(10, unit="rows")
        finally:
            end()
        job = Job.objects.get(pk=job.pk)
        assert (job.total, job.unit) == (10, "rows")

    def test_it_goes_on_under_the_version_that_others_have_given_the_row(
        self, job, owner, monkeypatch
    ):
        """Pages pass over what is older."""
        monkeypatch.setattr(reporter, "SAVE_SECONDS", 0.0)
        counted = Progress(10)
        current_reporter()._next_save = 0.0
        wish = {"version": 7, "cancel_requested": timezone.now()}
        Job.objects.filter(pk=job.pk).update(**wish)
        for number in (1, 2):
            time.sleep(0.15)
            counted.set(number)
        wait_until(lambda: latest(owner)["current"] == 2, 5)
        assert (latest(owner)["version"], latest(owner)["canCancel"]) == (7, False)
        assert Job.objects.get(pk=job.pk).current == 2

    @pytest.mark.parametrize("elsewhere", ["runs", "has ended"])
    def test_a_run_whose_job_goes_on_elsewhere_is_silent(
        self, job, owner, heard, monkeypatch, elsewhere
    ):
        monkeypatch.setattr(reporter, "SAVE_SECONDS", 0.0)
        counted = Progress(10)
        lifecycle.start(job.pk)
        if elsewhere == "has ended":
            lifecycle.succeed(job.pk, 1)
        current_reporter()._next_save = 0.0
        time.sleep(0.15)
        counted.set(4)
        log("nobody reads this")
        said = len(heard)
        time.sleep(0.3)
        counted.set(9)
        end()
        assert len(heard) == said
        values = storage.latest_values(user_channel(owner))
        assert len(values) == (elsewhere == "runs")  # an end leaves no bar behind

    def test_a_transaction_of_the_tasks_own_is_left_alone(self, owner, monkeypatch):
        monkeypatch.setattr(reporter, "SAVE_SECONDS", 0.0)
        job = Job.objects.create(owner=owner, title="t", task="t", state=State.RUNNING)
        begin(job)
        try:
            with transaction.atomic():
                Progress(10, unit="rows")
        finally:
            end()
        assert Job.objects.get(pk=job.pk).total is None


class TestWhatIsSaid:
    def test_the_last_count_is_said_although_nothing_follows(self, job, owner):
        counted = Progress(10, message="Counting")
        counted.set(4)  # within a tenth of a second, so not at once
        assert latest(owner)["current"] == 0
        wait_until(lambda: latest(owner)["current"] == 4, 5)

    def test_nothing_is_said_after_the_end(self, job, owner, heard):
        counted = Progress(10)
        counted.set(4)
        end()
        said = len(heard)
        counted.set(9)
        time.sleep(0.5)
        assert len(heard) == said

    def test_nothing_is_said_while_nothing_changes(self, job, heard):
        Progress(10).set(4)
        wait_until(lambda: heard and heard[-1]["current"] == 4, 5)
        said = len(heard)
        time.sleep(0.5)
        assert len(heard) == said

    def count(self, counted: Progress, ago: float) -> None:
        """Count 50 in five seconds that began so long ago, without saying so."""
        running = current_reporter()
        running._may_speak = math.inf
        running._course._count_rate, running._course._fraction_rate = Rate(), Rate()
        now = time.monotonic()
        for second in range(6):
            counted.set(10 * second)
            running._set(running.measure(), now - ago + second)
        running._said = running.measure()

    def test_rate_and_time_left_are_told(self, job):
        self.count(Progress(100), ago=5)
        assert job.rate == pytest.approx(10)
        assert job.eta == pytest.approx(5)

    def test_a_time_left_that_stopped_being_true_is_taken_back(self, job, heard):
        self.count(Progress(100), ago=60)
        assert (job.rate, job.eta) != (None, None)
        current_reporter()._may_speak = 0.0
        wait_until(lambda: heard and heard[-1]["current"] == 50, 5)
        assert (heard[-1]["rate"], heard[-1]["eta"]) == (None, None)

    def test_unknown_totals_have_a_rate_and_no_time_left(self, job):
        self.count(Progress(), ago=5)
        assert (job.rate, job.eta, job.fraction) == (pytest.approx(10), None, None)

    def test_a_total_and_a_message_may_change(self, job):
        counted = Progress(message="Looking")
        counted.total, counted.message = 20, "Reading"
        counted.set(5)
        measure = current_reporter().measure()
        assert (measure.message, measure.total, measure.fraction) == ("Reading", 20, 0.25)

    def test_as_a_context_manager_it_counts_what_happens_within(self, job):
        with Progress(2, message="Files") as files:
            for _ in range(2):
                Progress(4, message="Rows").set(2)
                assert current_reporter().measure().fraction == (files.current + 0.5) / 2
                assert current_reporter().measure().message == "Files"
                files.update()
        assert current_reporter().measure().fraction == 1

    def test_a_thread_in_the_context_of_the_task_reports_for_it(self, job):
        counted = Progress(100)
        with ThreadPoolExecutor(4) as pool:
            found = [pool.submit(copy_context().run, current_reporter) for _ in range(4)]
            assert {future.result() for future in found} == {current_reporter()}
            assert pool.submit(current_reporter).result() is None
        assert counted.current == 0

    def test_a_member_of_a_group_moves_the_groups_bar_alone(self, owner):
        group = Job.objects.create(
            owner=owner, title="Group", task="t", state=State.RUNNING, members_total=2
        )
        member = Job.objects.create(
            owner=owner, parent=group, title="Member", task="t", state=State.RUNNING
        )
        begin(member)
        try:
            Progress(4).set(2)
            wait_until(lambda: storage.latest_values(user_channel(owner)), 5)
            wait_until(lambda: latest(owner)["fraction"] == 0.25, 5)
        finally:
            end()
        assert latest(owner)["id"] == str(group.pk)

    @pytest.mark.django_db(transaction=True)
    def test_an_owner_deleted_meanwhile_is_no_trouble(self, owner, published):
        job = lifecycle.create(owner_id=owner.pk, title="t", task="t")
        begin(lifecycle.start(job.pk))
        counted = Progress(10)
        owner.delete()
        current_reporter()._next_save = current_reporter().due = 0.0
        counted.set(5)
        assert end()["current"] == 5


class TestBadInput:
    @pytest.mark.parametrize("total", [0, -1, math.nan, math.inf, -math.inf, None, "ten", 2**63])
    def test_a_total_that_is_none_is_unknown(self, job, total):
        counted = Progress(total)
        counted.set(3)
        measure = current_reporter().measure()
        assert (measure.current, measure.total, measure.fraction) == (3, None, None)

    def test_a_total_that_is_too_small_follows_the_count(self, job):
        Progress(5).set(8)
        measure = current_reporter().measure()
        assert (measure.current, measure.total, measure.fraction) == (8, 8, 1)

    @pytest.mark.parametrize("count", [math.nan, math.inf, -math.inf, -1, 0, 2, 2**63, None, "x"])
    def test_a_count_that_is_none_or_goes_back_is_ignored(self, job, count):
        counted = Progress(10)
        counted.set(3)
        counted.set(count)
        assert counted.current == 3

    @pytest.mark.parametrize("n", [0, -1, math.nan, math.inf, None, "x"])
    def test_counting_nothing_or_less_is_ignored(self, job, n):
        counted = Progress(10)
        counted.update(3)
        counted.update(n)
        assert counted.current == 3

    def test_decimals_count_as_floats_do(self, job):
        counted = Progress(Decimal(10))
        counted.update(Decimal("2.5"))
        counted.update(0.5)
        assert current_reporter().measure().fraction == 0.3
        counted.set(Decimal(4))
        assert current_reporter().measure().fraction == 0.4

    def test_fractions_count_too(self, job):
        counted = Progress(2.5)
        counted.update(1.25)
        measure = current_reporter().measure()
        assert (measure.current, measure.total, measure.fraction) == (1, 3, 0.5)

    def test_long_and_strange_texts_are_cut_and_cleaned(self, job, owner):
        Progress(1, message="m\0" * 500, unit="u\ud800" * 500)
        wait_until(lambda: latest(owner)["message"], 5)
        assert latest(owner)["message"] == "m\ufffd" * 100
        assert latest(owner)["unit"] == "u\ufffd" * 10
        Job.objects.filter(pk=job.pk).update(**end())


def test_outside_a_job_it_counts_and_says_nothing(published):
    counted = Progress(10)
    counted.update(3)
    counted.set(2)
    with Progress(3) as other:
        other.update()
    assert (counted.current, other.current) == (3, 1)
    assert published == []


def test_a_throttled_call_costs_less_than_a_microsecond(published):
    begin(Job(title="t"))
    try:
        counted = Progress(10**9)
        counted._reporter.due = time.monotonic() + 3600
        numbers = iter(range(1, 10**9))
        costs = timeit.repeat(lambda: counted.set(next(numbers)), number=20_000, repeat=7)
    finally:
        end()
    assert min(costs) / 20_000 < 1e-6
