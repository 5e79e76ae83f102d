"""
The sweep: finds jobs that nobody will end, and ends them. Beat's process does it, now and then.

It needs no worker, so it tells of their death even when all of them are gone.
"""

import logging
import threading
from contextlib import suppress
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final
from uuid import UUID

from celery import current_app
from celery.signals import beat_init
from django.db import connections
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from ..conf import conf
from ..exceptions import RedisUnavailable
from . import lifecycle, messages, signs
from .models import UNFINISHED, Job, State

logger = logging.getLogger(__name__)

PRUNE_SECONDS: Final = 60 * 60
PRUNE_LENGTH: Final = 200  # jobs in one transaction
QUERY_LENGTH: Final = 500

MESSAGES_AT_ONCE: Final = 200  # of which the place in the queue is looked up

KILL_PAUSES: Final = 6  # sweeps between attempts to end what its pool can't end


def connect() -> None:
    """Let beat sweep; called once, from the app's config."""
    beat_init.connect(_begin, dispatch_uid="carillon.sweep", weak=False)


def _begin(**kwargs: Any) -> None:
    threading.Thread(target=_run, name="jobs-sweep", daemon=True).start()


def _run() -> None:
    pause = threading.Event()
    next_prune = 0.0
    while True:
        try:
            sweep()
            if monotonic() >= next_prune:
                prune()
                next_prune = monotonic() + PRUNE_SECONDS
        except (RedisUnavailable, OperationalError) as error:
            logger.warning("Jobs could not be looked over: %s", error)
        except Exception:
            logger.exception("Jobs could not be looked over")
        finally:
            connections.close_all()
        pause.wait(conf.job_sweep_seconds)


def sweep() -> None:
    """
    Look all unfinished jobs over, once. Raises ``RedisUnavailable``; then nothing is concluded.

    A job whose worker was heard of lives, also one that had been given up. A running one of which
    no sign came for ``JOB_LOST_SECONDS``, while signs were watched all the time, is lost; so is
    one that waits and whose message is found nowhere, twice. One that was to be cancelled and goes
    on after ``JOB_CANCEL_GRACE_SECONDS`` is ended by force.
    """
    watch = signs.look()
    _find(watch.alive)
    if watch.seconds >= conf.job_lost_seconds:
        _lose_running(watch.alive)
        _lose_waiting(watch.alive)
    _end_by_force()


def prune() -> int:
    """Remove jobs that ended more than ``JOB_RETENTION_DAYS`` ago (0: none); return how many."""
    if conf.job_retention_days <= 0:
        return 0
    before = timezone.now() - timedelta(days=conf.job_retention_days)
    old = Job.objects.filter(finished__lt=before, parent=None).order_by("finished")
    removed = 0
    while ids := list(old.values_list("pk", flat=True)[:PRUNE_LENGTH]):
        Job.objects.filter(pk__in=ids).delete()
        removed += len(ids)
    return removed


def _find(alive: set[UUID]) -> None:
    ids = list(alive)
    for start in range(0, len(ids), QUERY_LENGTH):
        part = ids[start : start + QUERY_LENGTH]
        lost = Job.objects.filter(pk__in=part, state=State.LOST, attempts__gt=0)
        for pk in lost.values_list("pk", flat=True):
            lifecycle.find(pk)


def _lose_running(alive: set[UUID]) -> None:
    before = timezone.now() - timedelta(seconds=conf.job_lost_seconds)
    running = Job.objects.filter(state=State.RUNNING, members_total=0, heartbeat__lt=before)
    # What runs without a worker (Celery's eager mode) gives no signs.
    running = running.exclude(worker="").only("pk", "queue")
    silent = {job.pk: job.queue for job in running if job.pk not in alive}
    found: set[UUID] = set()
    if silent:
        with suppress(OperationalError):  # of a broker that is not the same Redis
            found = messages.waiting(silent, {queue for queue in silent.values() if queue}) or found
    for pk in silent:
        if pk in found:  # a worker that is stopped at once puts back what it had
            lifecycle.retrying(pk, _("Its worker was stopped."))
        else:
            logger.warning("Job %s is lost: its worker is not heard of any more", pk)
            lifecycle.lose(pk, _("Its worker is not heard of any more."), (State.RUNNING,))


def _lose_waiting(alive: set[UUID]) -> None:
    jobs = _waiting()
    candidates = [job for job in jobs if job.pk not in alive]
    found: set[UUID] | None = set()
    if candidates:
        ids, queues = [job.pk for job in candidates], {job.queue for job in candidates}
        found = messages.waiting(ids, queues)
    if found is None:
        return
    # While a part of a group is known, those that come after it need no message yet.
    known = found | alive
    moving = {job.parent_id for job in jobs if job.pk in known and job.parent_id}
    missing = [job.pk for job in jobs if job.pk not in known and job.parent_id not in moving]
    for pk in signs.missed_twice(missing):
        logger.warning("Job %s is lost: its message is nowhere", pk)
        lifecycle.lose(pk, _("Its message was lost."), (State.QUEUED, State.RETRYING))


def _waiting() -> list[Job]:
    """Jobs that have waited for a while, the oldest first; of a group, when nothing of it runs."""
    before = timezone.now() - timedelta(seconds=conf.job_lost_seconds)
    queued = Q(state=State.QUEUED, created__lt=before)
    # A retry that is overdue, or that the broker delivers again at a time of its own.
    again = Q(state=State.RETRYING) & (Q(retry_at__lt=before) | Q(retry_at=None))
    jobs = Job.objects.filter(queued | again, members_total=0).exclude(queue="")
    jobs = jobs.order_by("created", "place").only("pk", "queue", "parent_id")
    single, members = jobs.filter(parent=None), jobs.filter(parent__in=_idle_groups(before))
    return [*single[:MESSAGES_AT_ONCE], *members[:MESSAGES_AT_ONCE]]


def _idle_groups(before: datetime) -> set[UUID]:
    """Groups of which nothing runs, is due later, or has ended since ``before``."""
    groups = Job.objects.filter(members_total__gt=0, state__in=UNFINISHED, created__lt=before)
    idle = set(groups.values_list("pk", flat=True))
    busy = Q(state=State.RUNNING) | Q(state=State.RETRYING, retry_at__gte=before)
    members = Job.objects.filter(busy | Q(finished__gte=before), parent__in=idle)
    return idle - set(members.order_by().values_list("parent_id", flat=True).distinct())


def _end_by_force() -> None:
    before = timezone.now() - timedelta(seconds=conf.job_cancel_grace_seconds)
    stubborn = Job.objects.filter(state=State.RUNNING, members_total=0, cancel_requested__lt=before)
    for pk in stubborn.values_list("pk", flat=True):
        # What does not heed the first signal, in the midst of foreign code, can't escape the next.
        times = signs.count_kill(pk)
        if times <= 2 or times % KILL_PAUSES == 0:
            name = "SIGTERM" if times == 1 else "SIGKILL"
            current_app.control.revoke(str(pk), terminate=True, signal=name)
