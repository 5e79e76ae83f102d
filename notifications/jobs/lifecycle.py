"""
The life of a job: each step is one conditional UPDATE, said to the owner after the commit.

A step that comes twice, or too late, changes nothing and says nothing.
"""

import json
import logging
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.text import Truncator

from ..channels import user_channel
from ..publishing import publish_on_commit
from .models import ERROR_MAX_LENGTH, TITLE_MAX_LENGTH, Job, State

logger = logging.getLogger(__name__)


def create(*, owner_id: Any, title: str, task: str, result_template: str = "") -> Job:
    """Make the row of a job that is about to be queued."""
    with transaction.atomic():
        job = Job.objects.create(
            owner_id=owner_id,
            title=_storable(title)[:TITLE_MAX_LENGTH],
            task=task,
            result_template=result_template,
        )
        _say(job)
    return job


def start(pk: UUID) -> Job | None:
    """Mark a job as running; None where it isn't there or has ended."""
    # A task that Celery delivers a second time starts again.
    return _step(pk, (State.QUEUED, State.RUNNING), state=State.RUNNING, started=timezone.now())


def succeed(pk: UUID, result: Any, **progress: Any) -> Job | None:
    """Mark a running job as done, with its result (JSON, or text if it isn't)."""
    return _step(
        pk,
        (State.RUNNING,),
        state=State.SUCCEEDED,
        finished=timezone.now(),
        result=_as_json(pk, result),
        **progress,
    )


def fail(pk: UUID, error: str, **progress: Any) -> Job | None:
    """Mark a job as failed, with a sentence for its owner."""
    return _step(
        pk,
        (State.QUEUED, State.RUNNING),
        state=State.FAILED,
        finished=timezone.now(),
        error=Truncator(_storable(error)).chars(ERROR_MAX_LENGTH),
        **progress,
    )


def withdraw(pk: UUID, error: str) -> None:
    """Remove a job that never got on its way; pages that have seen it are told it failed."""
    fail(pk, error)
    Job.objects.filter(pk=pk).delete()


def _step(pk: UUID, before: Iterable[State], **changes: Any) -> Job | None:
    with transaction.atomic():
        changed = Job.objects.filter(pk=pk, state__in=before).update(
            version=F("version") + 1, **changes
        )
        if not changed:
            return None
        job = Job.objects.get(pk=pk)
        _say(job)
    return job


def _say(job: Job) -> None:
    if job.owner_id is not None:
        clear = job.key if job.is_finished else None
        publish_on_commit(user_channel(job.owner_id), "job", job.as_event(), clear=clear)


def _as_json(pk: UUID, result: Any) -> Any:
    try:
        return _storable(json.loads(json.dumps(result, cls=DjangoJSONEncoder, allow_nan=False)))
    except (TypeError, ValueError):
        logger.warning("The result of job %s is not JSON and is kept as text", pk)
        return _storable(str(result))


def _storable(value: Any) -> Any:
    """Return text, or JSON with text in it, without NUL characters, which PostgreSQL refuses."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value
