"""The sweep: what counts as lost, and what it does not conclude."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from notifications.exceptions import RedisUnavailable
from notifications.jobs import lifecycle, signs, sweep
from notifications.jobs.models import Job, State
from project.celery import app
from project.redis_url import celery_broker_url

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = timedelta(hours=1)


@pytest.fixture
def job(live_redis) -> Job:
    owner = User.objects.create(username="somebody")
    return lifecycle.create(owner_id=owner.pk, title="t", task="t", queue="celery")


@pytest.fixture
def silent(job, broker) -> Job:
    """A job that runs, and of which nothing was heard for long."""
    lifecycle.start(job.pk, "worker@host")
    Job.objects.update(heartbeat=timezone.now() - LONG_AGO)
    return job


@pytest.fixture
def watched(live_redis, redis_client) -> None:
    """Signs have been watched for long."""
    signs.look()
    redis_client.hincrby("notifications:{jobs}:sweep", "since", -3600)


@pytest.fixture
def broker(live_redis) -> None:
    """The tests' Redis has the queues too."""
    url, app.conf.broker_url = app.conf.broker_url, celery_broker_url(live_redis.url)
    yield
    app.conf.broker_url = url


def state(job: Job) -> str:
    return Job.objects.get(pk=job.pk).state


def test_a_job_without_a_sign_of_life_is_lost(silent, watched):
    sweep.sweep()
    assert state(silent) == State.LOST


@pytest.mark.parametrize("prefix", ["", "site:"])
def test_a_job_whose_message_is_in_its_queue_again_will_run_again(silent, watched, prefix, request):
    """A worker that is stopped at once puts back what it had; kombu may prefix its keys."""
    before = app.conf.broker_transport_options
    request.addfinalizer(lambda: app.conf.update(broker_transport_options=before))
    app.conf.broker_transport_options = {**before, "global_keyprefix": prefix}
    with app.connection_for_write() as connection:
        app.send_task("t", task_id=str(silent.pk), connection=connection, ignore_result=True)
    sweep.sweep()
    assert state(silent) == State.RETRYING
    for _ in range(3):
        sweep.sweep()
    assert state(silent) == State.RETRYING


def test_a_job_with_a_sign_of_life_runs_on(silent, watched):
    signs.report([str(silent.pk)])
    sweep.sweep()
    assert state(silent) == State.RUNNING


def test_a_job_that_has_just_begun_is_given_time(job, watched):
    lifecycle.start(job.pk, "worker@host")
    sweep.sweep()
    assert state(job) == State.RUNNING


def test_nothing_is_concluded_before_signs_were_watched_for_long_enough(silent, redis_client):
    sweep.sweep()
    assert state(silent) == State.RUNNING


def test_a_pause_in_the_watch_begins_it_anew(silent, watched, redis_client):
    redis_client.hincrby("notifications:{jobs}:sweep", "last", -60)
    sweep.sweep()
    assert state(silent) == State.RUNNING


def test_nothing_is_concluded_without_redis(silent, live_redis):
    live_redis.kill()
    with pytest.raises(RedisUnavailable):
        sweep.sweep()
    assert state(silent) == State.RUNNING


def test_a_job_without_a_worker_gives_no_signs_and_is_left_alone(job, watched):
    lifecycle.start(job.pk)
    Job.objects.update(heartbeat=timezone.now() - LONG_AGO)
    sweep.sweep()
    assert state(job) == State.RUNNING


def test_a_lost_job_that_is_heard_of_runs(silent, watched):
    sweep.sweep()
    signs.report([str(silent.pk)])
    sweep.sweep()
    assert state(silent) == State.RUNNING


def test_a_lost_job_that_was_to_be_cancelled_is_cancelled(silent, watched):
    Job.objects.update(cancel_requested=timezone.now())
    sweep.sweep()
    assert state(silent) == State.CANCELLED


def test_a_job_counts_as_missing_when_it_was_missed_twice_in_a_row(job, live_redis):
    other = lifecycle.create(owner_id=None, title="t", task="t")
    assert signs.missed_twice([job.pk]) == set()
    assert signs.missed_twice([other.pk]) == set()
    assert signs.missed_twice([job.pk, other.pk]) == {other.pk}
    assert signs.missed_twice([]) == set()
    assert signs.missed_twice([job.pk]) == set()


def test_of_a_group_those_who_wait_for_others_are_not_missed(job, watched, broker):
    parent = Job.objects.create(title="group", task="t", members_total=3, state=State.RUNNING)
    old = timezone.now() - LONG_AGO
    for place in ("c00000.g00000", "c00000.g00001", "c00001"):
        Job.objects.create(title="m", task="t", queue="celery", parent=parent, place=place)
    Job.objects.update(created=old)
    first, second, last = parent.members.order_by("place")
    lifecycle.start(first.pk, "worker@host")

    def missed() -> set[str]:
        return {job.place for job in sweep._waiting() if job.parent_id}

    assert missed() == set()  # one runs
    signs.report([str(first.pk)])
    lifecycle.succeed(first.pk)
    assert missed() == set()  # one has just ended
    Job.objects.filter(pk=first.pk).update(finished=old)
    assert missed() == {"c00000.g00001", "c00001"}
    signs.report([str(second.pk)])
    for _ in range(3):
        sweep.sweep()  # a worker has the second, so that the last has to wait
    assert {state(second), state(last)} == {State.QUEUED}


def test_old_jobs_are_removed_with_their_members(job, settings):
    lifecycle.start(job.pk)
    lifecycle.succeed(job.pk)
    recent = lifecycle.create(owner_id=None, title="t", task="t")
    lifecycle.fail(recent.pk, "x")
    waiting = lifecycle.create(owner_id=None, title="t", task="t")
    Job.objects.create(parent=job, title="member", task="t", finished=timezone.now())
    old = timezone.now() - timedelta(days=31)
    Job.objects.filter(pk=job.pk).update(finished=old)
    Job.objects.filter(pk=waiting.pk).update(created=old)
    settings.NOTIFICATIONS_JOB_RETENTION_DAYS = 0
    assert sweep.prune() == 0
    settings.NOTIFICATIONS_JOB_RETENTION_DAYS = 30
    assert sweep.prune() == 1
    assert set(Job.objects.values_list("pk", flat=True)) == {recent.pk, waiting.pk}
