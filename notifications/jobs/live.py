"""
Rows, brought up to date: the progress of running jobs is newer in Redis than in the database.
"""

import json
from collections.abc import Iterable
from typing import Any

from .. import storage
from ..channels import user_channel
from ..exceptions import RedisUnavailable
from .models import Job, State

OVERLAID = ("tick", "message", "unit", "current", "total", "rate", "eta")


def with_latest(jobs: Iterable[Job], owner: Any) -> list[Job]:
    """
    Return ``jobs`` of one owner with their newest progress: one call to Redis, none if none runs.

    When Redis can't be reached they stay as their rows have them.
    """
    jobs = list(jobs)
    running = [job for job in jobs if job.state == State.RUNNING]
    if not running:
        return jobs
    try:
        values = storage.latest_values(user_channel(owner))
    except RedisUnavailable:
        return jobs
    for job in running:
        if (value := values.get(job.key)) is None:
            continue
        data = json.loads(value.data)
        if data["version"] == job.version:
            for name in OVERLAID:
                setattr(job, name, data[name])
    return jobs
