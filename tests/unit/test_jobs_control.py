"""Cancelling and trying again: who may, what it does, and what comes twice."""

import json

import pytest
from celery import shared_task
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.exceptions import PermissionDenied
from kombu.exceptions import OperationalError

from notifications import storage
from notifications.channels import may_read, user_channel
from notifications.jobs import TrackedTask, control, lifecycle
from notifications.jobs.exceptions import NotPossible
from notifications.jobs.models import Job, State
from notifications.publishing import publish

pytestmark = pytest.mark.django_db(transaction=True)


@shared_task(base=TrackedTask, retryable=True)
def work(*args: object) -> None:
    raise ValueError


@pytest.fixture
def owner(live_redis) -> User:
    return User.objects.create(username="owner")


@pytest.fixture
def job(owner) -> Job:
    arguments = {"args": [1], "kwargs": {}, "options": {}}
    return lifecycle.create(
        owner_id=owner.pk, title="t", task=work.name, retryable=True, arguments=arguments
    )


def staff(permission: str, **fields: bool) -> User:
    user = User.objects.create(username=permission, is_staff=True, **fields)
    user.user_permissions.add(Permission.objects.get(codename=permission))
    return user


def test_the_owner_and_staff_with_the_permission_may_and_nobody_else(job, owner):
    assert control.may_control(owner, job)
    assert control.may_control(staff("change_job"), job)
    others = [None, AnonymousUser(), User.objects.create(username="x"), staff("view_job")]
    for other in others:
        assert not control.may_control(other, job)
    for verb in (control.cancel, control.retry):
        with pytest.raises(PermissionDenied):
            verb(job, by=others[2])


def test_a_jobs_channel_is_read_by_its_owner_and_by_staff_who_may_view_jobs(job, owner):
    assert may_read(owner, job.channel)
    assert may_read(staff("view_job"), job.channel)
    for other in (AnonymousUser(), User.objects.create(username="x"), staff("change_job")):
        assert not may_read(other, job.channel)
    assert not may_read(owner, job.channel.upper())
    assert not may_read(owner, "job-1")
    assert not may_read(staff("delete_job"), "job-00000000-0000-0000-0000-000000000000")


def test_a_job_that_waits_is_cancelled_at_once_and_only_once(job):
    assert control.cancel(job)
    job.refresh_from_db()
    assert (job.state, job.cancel_requested is None) == (State.CANCELLED, False)
    assert lifecycle.start(job.pk) is None
    assert not control.cancel(job)


def test_a_job_that_runs_is_asked_to_end_and_only_once(job):
    lifecycle.start(job.pk)
    assert not lifecycle.cancel_requested(job.pk)
    assert control.cancel(job)
    assert lifecycle.cancel_requested(job.pk)
    job.refresh_from_db()
    assert (job.state, job.can_cancel) == (State.RUNNING, False)
    assert not control.cancel(job)


def test_the_wish_does_not_take_the_bar_back(job, owner):
    """The row was saved some time ago; what has been said since is newer."""
    running = lifecycle.start(job.pk)
    running.fraction, running.current, running.message = 0.7, 70, "Reading"
    publish(user_channel(owner.pk), "job", running.as_event(), key=job.key)
    control.cancel(job)
    said = json.loads(storage.read(user_channel(owner.pk), 1).log[-1].data)
    assert (said["fraction"], said["current"], said["message"]) == (0.7, 70, "Reading")
    assert not said["canCancel"]


def test_the_wish_is_known_without_redis(job, live_redis):
    lifecycle.start(job.pk)
    live_redis.kill()
    assert control.cancel(job)
    assert lifecycle.cancel_requested(job.pk)


def test_a_job_that_has_ended_is_not_cancelled(job):
    lifecycle.start(job.pk)
    lifecycle.succeed(job.pk, 1)
    assert not control.cancel(job)
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED


def test_a_job_is_tried_again_once(job, monkeypatch):
    sent = []
    monkeypatch.setattr("project.celery.app.send_task", lambda *a, **k: sent.append((a, k)))
    lifecycle.start(job.pk)
    lifecycle.fail(job.pk, "x")
    job.refresh_from_db()
    new = control.retry(job)
    assert (new.owner_id, new.title, new.task) == (job.owner_id, job.title, job.task)
    assert new.pk != job.pk
    assert [args[1] for args, _ in sent] == [[1]]
    with pytest.raises(NotPossible):
        control.retry(job)


def test_a_job_that_runs_or_has_succeeded_is_not_tried_again(job):
    for step in (lambda: None, lambda: lifecycle.start(job.pk), lambda: lifecycle.succeed(job.pk)):
        step()
        job.refresh_from_db()
        with pytest.raises(NotPossible):
            control.retry(job)


def test_a_broker_that_is_away_leaves_the_job_to_be_tried_again_later(job, monkeypatch):
    def refuse(*args, **kwargs):
        raise OperationalError("no broker")

    monkeypatch.setattr("project.celery.app.send_task", refuse)
    lifecycle.lose(job.pk, "x")
    job.refresh_from_db()
    with pytest.raises(OperationalError):
        control.retry(job)
    job.refresh_from_db()
    assert job.can_retry


def test_a_lost_job_that_was_started_anew_does_not_run_beside_the_new_one(job, monkeypatch):
    monkeypatch.setattr("project.celery.app.send_task", lambda *a, **k: None)
    lifecycle.lose(job.pk, "x")
    job.refresh_from_db()
    control.retry(job)
    assert lifecycle.start(job.pk) is None
    job.refresh_from_db()
    assert job.state == State.CANCELLED


def test_a_task_that_is_gone_can_not_be_tried_again(job):
    lifecycle.fail(job.pk, "x")
    Job.objects.update(task="no.such.task")
    job.refresh_from_db()
    with pytest.raises(NotPossible, match="no such task"):
        control.retry(job)
