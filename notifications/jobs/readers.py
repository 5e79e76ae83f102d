"""Who reads the channel of a job: its log lines, and the states of its members."""

from typing import Any
from uuid import UUID

from .models import Job


def may_read_job_channel(user: Any, pk: str) -> bool:
    """The owner may, and staff who may view jobs, while the account is active."""
    if user is None or not user.is_authenticated or not user.is_active:
        return False
    try:
        key = UUID(pk)
    except ValueError:
        return False
    if str(key) != pk:  # other spellings of the number are other channels
        return False
    owners = list(Job.objects.filter(pk=key).values_list("owner_id", flat=True))
    if not owners:
        return False
    return bool(owners[0] == user.pk or (user.is_staff and user.has_perm("jobs.view_job")))
