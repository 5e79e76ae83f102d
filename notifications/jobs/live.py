"""
Rows, brought up to date: the progress of running jobs is newer in Redis than in the database.
"""

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from .. import storage
from ..channels import user_channel
from ..exceptions import RedisUnavailable
from .models import LARGE, Job, State

PROGRESS = ("message", "unit", "current", "total", "fraction", "steps")  # that a row has, too
OVERLAID = (*PROGRESS, "tick", "rate", "eta")

LOG_LINES_MAX = 1_000  # that a page shows


def with_latest(jobs: Iterable[Job], owner: Any) -> list[Job]:
    """
    Return ``jobs`` of one owner with their newest progress: one call to Redis, none if none runs.

    When Redis can't be reached they stay as their rows have them.
    """
    jobs = list(jobs)
    running = [job for job in jobs if job.state == State.RUNNING]
    if not running or owner is None:
        return jobs
    try:
        values = storage.latest_values(user_channel(owner))
    except RedisUnavailable:
        return jobs
    for job in running:
        if (value := values.get(job.key)) is not None:
            _overlay(job, json.loads(value.data))
    return jobs


def _overlay(job: Job, data: dict[str, Any]) -> None:
    # Within an attempt others may change the row, and with it its version, while the run goes on.
    if data.get("attempts") != job.attempts:
        return
    for name in OVERLAID:
        if name in data:
            setattr(job, name, data[name])
    if members := data.get("members"):
        job.members_total = members["total"]
        job.members_done = members["done"]
        job.members_failed = members["failed"]


def unsaved(pk: UUID) -> dict[str, Any]:
    """
    Return what a running job said last, as fields of its row; {} where it does not run.

    For who ends it from outside: its own process saves it only now and then, and at its end.
    """
    job = Job.objects.defer(*LARGE).filter(pk=pk, state=State.RUNNING, members_total=0).first()
    if job is None:
        return {}
    with_latest([job], job.owner_id)
    fields: dict[str, Any] = {name: getattr(job, name) for name in PROGRESS}
    log = read_log(job)
    if log.count > job.log_lines:
        fields |= {"log_tail": log.lines, "log_lines": log.count}
    return fields


@dataclass(frozen=True, slots=True)
class Log:
    """The last lines of a job's log (``n``, ``at``, ``level``, ``text``), and the number of all."""

    lines: list[dict[str, Any]]
    count: int


def read_log(job: Job) -> Log:
    """
    Return the log of a job: from its channel while it runs, from its row once it has ended.

    The first takes a round trip to Redis for each 500 messages that the channel holds. A lost job
    had no end at which its log could have been saved.
    """
    if not job.is_finished or job.state == State.LOST:
        lines = _said(job)
        if lines:
            return Log(list(lines), lines[-1]["n"])
    return Log(job.log_tail, job.log_lines)


def _said(job: Job) -> deque[dict[str, Any]]:
    lines: deque[dict[str, Any]] = deque(maxlen=LOG_LINES_MAX)
    cursor = 0
    try:
        while True:
            page = storage.read(job.channel, cursor)
            lines += [json.loads(said.data) for said in page.log if said.type == "job-log"]
            if not page.more:
                return lines
            cursor = page.log[-1].id
    except RedisUnavailable:
        return lines
