"""Tracked tasks: rows and messages, here in Celery's eager mode; with workers in `integration`."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import chain, chord, group, shared_task, signature
from celery.exceptions import Ignore, Reject
from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils.translation import gettext_lazy
from kombu.exceptions import EncodeError, OperationalError

from notifications.jobs import TrackedTask, control, current_job, lifecycle, start_group, track
from notifications.jobs.middleware import CurrentUser, current_user_pk
from notifications.jobs.models import Job, State
from project.celery import app

pytestmark = pytest.mark.django_db(transaction=True)


@shared_task(base=TrackedTask)
def give(value: Any = None) -> Any:
    return value


@shared_task(base=TrackedTask, retryable=True)
def fail_with(text: str, when: Any = None) -> None:
    raise ValueError(text)


@shared_task(base=TrackedTask, bind=True, max_retries=2)
def retry_once(self: Any) -> str:
    if not self.request.retries:
        raise self.retry(exc=ValueError("not yet"))
    return "at last"


@shared_task(base=TrackedTask)
def end_with(what: str) -> None:
    raise {"ignore": Ignore("enough"), "reject": Reject("not mine")}[what]


@shared_task(base=TrackedTask)
def name_the_job() -> str:
    return str(current_job())


@shared_task(base=TrackedTask)
def run_another() -> str:
    inner = give.apply_async([1], title="inner").job
    return f"{inner.title} within {current_job()}"


@shared_task(base=TrackedTask)
def add(numbers: list[int]) -> int:
    return sum(numbers)


@shared_task(base=TrackedTask)
def count_down(number: int) -> int:
    for _ in track(range(2), f"{number}"):
        pass
    return count_down(number - 1) + 1 if number else 0


@shared_task
def untracked() -> None: ...


@shared_task(base=TrackedTask, bind=True)
def become(self: Any, what: str) -> Any:
    another = {
        "untracked": untracked.s(),
        "unknown": signature("other.workers.task"),
        "group": group([give.s(1), give.s(2)]),
        "chain": chain(give.s(1), give.s()),
        "another": give.s(7),
    }
    return self.replace(another[what])


@pytest.fixture
def eager(live_redis):
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def owner(live_redis) -> User:
    return User.objects.create(username="somebody")


def ended(result) -> Job:
    return Job.objects.get(pk=result.job.pk)


def test_an_eager_job_has_its_row_and_its_result(eager, owner):
    result = give.apply_async([{"a": 1}], owner=owner, title="Giving")
    job = ended(result)
    assert (job.state, job.result, job.title, job.owner) == ("succeeded", {"a": 1}, "Giving", owner)
    assert result.get() == {"a": 1}


def test_an_eager_job_that_fails_tells_why(eager):
    job = ended(fail_with.apply_async(["no file"]))
    assert (job.state, job.error) == ("failed", "ValueError: no file")
    assert "raise ValueError(text)" in job.traceback


def test_an_eager_job_that_raises_to_its_caller_has_failed_too(eager):
    app.conf.task_eager_propagates = True
    try:
        with pytest.raises(ValueError, match="no file"):
            fail_with.delay("no file")
    finally:
        app.conf.task_eager_propagates = False
    assert Job.objects.get().state == State.FAILED


def test_an_eager_job_retries(eager):
    job = ended(retry_once.apply_async())
    assert (job.state, job.result, job.attempts) == ("succeeded", "at last", 2)


@pytest.mark.parametrize(("what", "state"), [("ignore", "cancelled"), ("reject", "failed")])
def test_an_eager_job_ends_itself(eager, what, state):
    end_with.delay(what)
    assert Job.objects.get().state == state


def test_a_job_within_a_job_gives_the_place_back(eager):
    job = ended(run_another.apply_async(title="outer"))
    assert job.result == "inner within outer"
    assert current_job() is None


def test_the_job_is_known_below(eager):
    assert ended(name_the_job.apply_async(title="This one")).result == "This one"


def test_a_task_that_is_called_as_a_function_is_no_job():
    assert give(3) == 3
    assert not Job.objects.exists()


def test_a_task_that_calls_itself_as_a_function_is_one_job(eager):
    job = ended(count_down.apply_async([3]))
    assert (job.state, job.result, job.attempts) == ("succeeded", 3, 1)


@pytest.mark.parametrize("what", ["untracked", "unknown", "group", "chain"])
def test_a_job_that_would_have_no_end_is_not_replaced(eager, what):
    job = ended(become.apply_async([what]))
    assert job.state == "failed"
    assert job.error.startswith("NotPossible: A job can be replaced by one TrackedTask, not by")


def test_a_job_is_replaced_by_another_tracked_task(eager):
    job = ended(become.apply_async(["another"]))
    assert (job.state, job.result) == ("succeeded", 7)


def test_it_is_queued_on_commit_as_every_task_of_django_is(eager, owner):
    with transaction.atomic():
        give.delay_on_commit(1)
        give.apply_async_on_commit([2], owner=owner)
        assert not Job.objects.exists()
    jobs = Job.objects.order_by("created").values_list("result", "owner")
    assert list(jobs) == [(1, None), (2, owner.pk)]


def test_an_id_of_the_callers_own_is_the_jobs(eager, owner):
    pk = uuid.uuid4()
    assert give.apply_async([1], task_id=str(pk), owner=owner).job.pk == pk
    assert Job.objects.get().state == State.SUCCEEDED
    with pytest.raises(ValueError, match="has to be a UUID"):
        give.apply_async([1], task_id="number one", owner=owner)


def test_a_part_of_a_group_of_celerys_own_is_a_job_where_it_says_whose(eager, owner):
    parts = [give.s(1).set(owner=owner.pk), give.s(2).set(title="Two"), give.s(3)]
    for part in parts:  # as a worker's group does
        part.apply_async(task_id=str(uuid.uuid4()))
    jobs = Job.objects.order_by("created").values_list("title", "owner", "result")
    assert list(jobs) == [("Give", owner.pk, 1), ("Two", None, 2)]


@pytest.mark.parametrize("title", [5, gettext_lazy("Done")])
def test_a_title_is_made_text(eager, title):
    assert ended(give.apply_async(title=title)).title == str(title)


def test_a_task_without_a_row_runs_untracked():
    assert give.apply([3], task_id=str(uuid.uuid4())).get() == 3
    assert give.apply([3], task_id="no-uuid").get() == 3
    assert not Job.objects.exists()


def test_a_job_that_has_ended_does_not_run_again(eager):
    job = ended(give.apply_async([1]))
    assert give.apply([2], task_id=str(job.pk)).state == "IGNORED"
    job.refresh_from_db()
    assert (job.result, job.attempts) == (1, 1)


@pytest.mark.parametrize(("ended_as", "told"), [("succeed", 0), ("fail", 1)])
def test_a_chord_is_told_once_of_a_part_that_comes_again(owner, monkeypatch, ended_as, told):
    """Before 5.7 Celery counted what it was told of a part twice."""
    job = Job.objects.create(owner=owner, title="t", task=give.name, state=State.RUNNING)
    getattr(lifecycle, ended_as)(job.pk, "x")
    revoked: list[Any] = []
    monkeypatch.setattr(give.backend, "mark_as_revoked", lambda *a, **k: revoked.append(a))
    give.push_request(id=str(job.pk), called_directly=False, chord={"task": "add"})
    try:
        with pytest.raises(Ignore, match="has ended already"):
            give()
    finally:
        give.pop_request()
    assert len(revoked) == told


def test_nothing_is_sent_and_no_row_stays_where_the_transaction_is_rolled_back(eager):
    with pytest.raises(RuntimeError), transaction.atomic():
        give.delay()
        raise RuntimeError
    assert not Job.objects.exists()


def test_a_broker_that_is_away_leaves_no_job(owner, monkeypatch):
    monkeypatch.setattr(app, "send_task", _refuse)
    with pytest.raises(OperationalError):
        give.apply_async([1], owner=owner)
    assert not Job.objects.exists()


def _refuse(*args: Any, **kwargs: Any) -> None:
    raise OperationalError("no broker")


# --- Owners ---------------------------------------------------------------------------------------


def answer(request: Any) -> HttpResponse:
    give.apply_async()
    give.apply_async(owner=None)
    return HttpResponse()


def request_of(user: Any) -> Any:
    request = RequestFactory().get("/")
    request.user = user
    return request


def test_the_owner_is_the_user_of_the_request_that_calls_unless_it_is_said(eager, owner):
    CurrentUser(answer)(request_of(owner))
    assert sorted(Job.objects.values_list("owner", flat=True), key=str) == [owner.pk, None]
    assert current_user_pk() is None


def test_an_anonymous_visitor_and_code_without_a_request_own_nothing(eager):
    CurrentUser(answer)(request_of(AnonymousUser()))
    give.delay()
    assert set(Job.objects.values_list("owner", flat=True)) == {None}


def test_the_user_is_known_in_coroutines_too(owner):
    seen = []

    async def view(request: Any) -> HttpResponse:
        seen.append(current_user_pk())
        return HttpResponse()

    async def both() -> None:
        middleware: Any = CurrentUser(view)
        await asyncio.gather(middleware(request_of(owner)), middleware(request_of(AnonymousUser())))

    asyncio.run(both())
    assert sorted(seen, key=str) == [owner.pk, None]


# --- Retry ----------------------------------------------------------------------------------------


def test_arguments_are_kept_where_a_job_may_be_tried_again_and_come_back_as_they_were(eager):
    when = datetime(2031, 5, 4, 10, tzinfo=UTC)
    job = ended(fail_with.apply_async(["x"], {"when": when}, queue="celery"))
    assert job.can_retry
    new = control.retry(job)
    new.refresh_from_db()
    assert (new.state, new.arguments) == ("failed", job.arguments)
    assert new.arguments["options"] == {"queue": "celery"}
    assert new.error == "ValueError: x"


@pytest.mark.parametrize("value", [float("nan"), "a\0b"])
def test_arguments_that_are_no_json_can_not_be_kept(eager, value, caplog):
    job = ended(fail_with.apply_async(["x"], {"when": value}))
    assert (job.arguments, job.retryable) == (None, False)
    assert "can't be tried again" in caplog.text


def test_arguments_that_celery_can_not_send_leave_no_job(eager):
    with pytest.raises(EncodeError):
        fail_with.delay("x", object())
    assert not Job.objects.exists()


def test_other_tasks_keep_no_arguments(eager):
    assert ended(give.apply_async(["secret"])).arguments is None


# --- Groups ---------------------------------------------------------------------------------------


def test_an_eager_chord_is_one_job(eager, owner):
    parts = [give.s(n).set(title=f"nr {n}") for n in range(3)]
    job = start_group(chord(parts, add.s()), owner=owner, title="Chord")
    job.refresh_from_db()
    assert (job.state, job.result, job.members_done) == ("succeeded", 3, 4)
    titles = job.members.order_by("place").values_list("title", flat=True)
    assert list(titles) == ["nr 0", "nr 1", "nr 2", "Add"]


def test_an_eager_group_counts_what_failed(eager):
    job = start_group(group([give.s(1), fail_with.s("x")]))
    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", "1 part failed.")
    assert (job.members_done, job.members_failed) == (1, 1)


def test_a_group_without_tracked_tasks_is_refused(live_redis):
    with pytest.raises(ValueError, match="TrackedTask"):
        start_group(group([]))


def test_a_group_that_could_not_be_queued_has_failed_with_all_its_members(owner, monkeypatch):
    monkeypatch.setattr(app, "send_task", _refuse)
    with pytest.raises(OperationalError):
        start_group(group([give.s(1), give.s(2)]), owner=owner)
    job = Job.objects.get(parent=None)
    assert (job.state, job.error) == ("failed", "The job could not be queued.")
    assert set(job.members.values_list("state", flat=True)) == {"cancelled"}
