"""
Delivering reminders and marking them read, and telling the open pages of the people concerned.

Each change is one statement over many rows, and is published after it has been committed.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from ..channels import user_channel
from ..messages import Draft
from ..publishing import publish_many_on_commit
from .models import EVENT, Delivery, Reminder

T = TypeVar("T")

READ_EVENT = "reminder-read"

USERS_PER_QUERY = 500  # SQLite may be built to take no more than 999 parameters in a statement
IDS_PER_MESSAGE = 1000  # about 10 KB; the transport refuses messages over 64 KiB


def deliver(reminder: Reminder, users: Iterable[Any]) -> list[Delivery]:
    """
    Deliver ``reminder`` to those of ``users`` who are active and don't have it yet.

    Returns the new deliveries. Each is told to its owner in one ``reminder`` message once the
    transaction commits, so saving twice, or in two processes at once, never sends twice.
    Costs one query and three more for every ``USERS_PER_QUERY`` users, and few calls of Redis.
    Raises ``Reminder.DoesNotExist`` for a reminder that is not saved or has
    been deleted, and ``MessageTooLarge`` for a text that the transport can't carry; then nothing
    is delivered.
    """
    pks = list(dict.fromkeys(user.pk for user in users))
    new: list[Delivery] = []
    with transaction.atomic():
        # The lock makes those who deliver this reminder at the same time queue, so each sees the
        # rows of the one before. SQLite has no row locks; there a write transaction is alone.
        Reminder.objects.select_for_update().get(pk=reminder.pk)
        for batch in _batches(pks, USERS_PER_QUERY):
            new += _insert(reminder, batch)
        publish_many_on_commit(
            Draft(user_channel(delivery.user_id), EVENT, delivery.as_event()) for delivery in new
        )
    return new


def mark_read(user: Any, ids: Iterable[int] | None = None) -> list[int]:
    """
    Mark ``user``'s unread deliveries read, all of them or those with ``ids``.

    Returns the ids that were unread until now, newest first, and tells them to the user's pages
    in one ``reminder-read`` message (one per ``IDS_PER_MESSAGE``) once the transaction commits.
    Ids of other users, of nothing and of what was read before change nothing. One update,
    and one query for what it touched if it touched anything.
    """
    own = Delivery.objects.of(user)
    if ids is not None:
        own = own.filter(pk__in=set(ids))
    with transaction.atomic():
        now = timezone.now()
        # The condition on read_at makes this a claim: of two tabs at once, one gets each row.
        if not own.unread().update(read_at=now):
            return []
        read = list(own.filter(read_at=now).values_list("pk", flat=True))
        channel = user_channel(user)
        publish_many_on_commit(
            Draft(channel, READ_EVENT, {"ids": batch}) for batch in _batches(read, IDS_PER_MESSAGE)
        )
    return read


def _insert(reminder: Reminder, pks: list[Any]) -> list[Delivery]:
    active = get_user_model()._default_manager.filter(pk__in=pks, is_active=True)
    missing = set(active.values_list("pk", flat=True)) - set(
        reminder.deliveries.filter(occurrence="", user__in=pks).values_list("user_id", flat=True)
    )
    now = timezone.now()
    return Delivery.objects.bulk_create(
        Delivery(reminder=reminder, user_id=pk, created=now, expires=reminder.expires)
        for pk in pks
        if pk in missing
    )


def _batches(items: list[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
