"""
One step in the life of a job: a conditional UPDATE, said to those who watch after the commit.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from ..channels import user_channel
from ..publishing import publish_on_commit
from .models import CHANNEL_PREFIX, LARGE, Job, State


def change(
    pk: UUID, before: Iterable[State], where: dict[str, Any] | None = None, **changes: Any
) -> Job | None:
    """
    Change a job that is in one of the states ``before``, and say so; None where it is not.

    A step that comes twice, or too late, changes nothing and says nothing. The job comes without
    its large fields, which are read when they are used.
    """
    with transaction.atomic():
        rows = Job.objects.filter(pk=pk, state__in=list(before), **(where or {}))
        if not rows.update(version=F("version") + 1, **changes):
            return None
        job = Job.objects.defer(*LARGE).get(pk=pk)
        say(job)
    return job


def say(job: Job) -> None:
    """
    Say a job's state after the commit: to its owner, or of a member to who watches its group.

    The end of a job removes its progress, the latest value.
    """
    if job.parent_id is not None:
        publish_on_commit(f"{CHANNEL_PREFIX}{job.parent_id}", "member", job.as_event())
    elif job.owner_id is not None:
        clear = job.key if job.is_finished else None
        publish_on_commit(user_channel(job.owner_id), "job", job.as_event(), clear=clear)
