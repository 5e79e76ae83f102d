"""
Delivering: rows for people, and the messages that tell them, which follow the commit.

A row is unique in reminder, occurrence and person, and only whoever makes it tells of it. So each
person has each occurrence once, however many deliver it at the same time.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Exists, Max, OuterRef, QuerySet
from django.utils import timezone

from ..channels import user_channel
from ..conf import conf
from ..messages import Draft, encode_data
from ..publishing import publish_many_on_commit
from .models import EVENT, Delivery, Occurrence, Reminder
from .reading import batches

USERS_PER_QUERY: Final = 500  # SQLite may be built to take no more than 999 parameters
BATCH_LENGTH: Final = 2000  # people in a transaction
BATCH_BYTES: Final = 16 * 1024 * 1024  # of messages, which wait in memory for the commit


class Superseded(Exception):
    """The occurrence is not this run's any more: it was cancelled, or another run has taken it."""


def deliver(reminder: Reminder, users: Iterable[Any]) -> list[Delivery]:
    """
    Deliver ``reminder`` at once to those of ``users`` who are active and don't have it yet.

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
        for batch in batches(pks, USERS_PER_QUERY):
            active = get_user_model()._default_manager.filter(pk__in=batch, is_active=True)
            missing = set(_without(active, reminder.pk, "").values_list("pk", flat=True))
            new += _insert(reminder, "", [pk for pk in batch if pk in missing])
        _tell(new)
    return new


def deliver_occurrence(
    occurrence: Occurrence, users: QuerySet[Any], run: UUID
) -> Iterator[list[Delivery]]:
    """
    Deliver ``occurrence`` to those of ``users`` who don't have it yet, a batch in a transaction.

    Yields what was delivered, batch by batch. Memory is bounded by ``BATCH_LENGTH`` and
    ``BATCH_BYTES``, whatever the audience. Raises ``Superseded`` once the occurrence is not the
    work of ``run`` any more, of which each batch makes sure before it writes.
    """
    length = batch_length(occurrence.reminder)
    last = None
    while True:
        with transaction.atomic():
            held = _hold(occurrence.pk, run)
            # Anew for each batch: who was deactivated since is left out, who has it is too.
            rest = _without(users, held.reminder_id, held.local, last).order_by("pk")
            pks = list(rest.values_list("pk", flat=True)[:length])
            if not pks:
                return
            new = _insert(held.reminder, held.local, pks)
            _tell(new)
            transaction.on_commit(partial(_note_told, occurrence.pk, run, new[-1].pk))
        yield new
        if len(pks) < length:
            return
        last = pks[-1]


def last_delivery(occurrence: Occurrence) -> int:
    """Return the newest delivery's pk of the local time, whichever zone's it was; 0 for none."""
    rows = Delivery.objects.filter(reminder=occurrence.reminder_id, occurrence=occurrence.local)
    newest: int | None = rows.aggregate(newest=Max("pk"))["newest"]
    return newest or 0


def repeat_untold(occurrence: Occurrence, run: UUID) -> int:
    """
    Publish what an earlier run of ``occurrence`` has delivered but perhaps not told; return how
    many.

    That run was killed between a commit and its messages. They have the ids that the lost ones
    would have had, so a page that has seen one after all shows it once.
    """
    repeated, told = 0, occurrence.told
    rows = Delivery.objects.filter(reminder=occurrence.reminder_id, occurrence=occurrence.local)
    # Who has it on an open page, or has dealt with it, was told.
    rows = rows.filter(delivered_at=None, read_at=None).select_related("reminder").order_by("pk")
    length = batch_length(occurrence.reminder)
    while untold := list(rows.filter(pk__gt=told)[:length]):
        _tell(untold)
        told = untold[-1].pk
        repeated += len(untold)
        transaction.on_commit(partial(_note_told, occurrence.pk, run, told))
    return repeated


def batch_length(reminder: Reminder) -> int:
    """Return how many people a batch has: fewer for a long text."""
    size = len(encode_data(Delivery(reminder=reminder).as_event())) * 4 + 200
    return max(50, min(BATCH_LENGTH, BATCH_BYTES // size))


def _hold(pk: int, run: UUID) -> Occurrence:
    """Lock the occurrence and its reminder, as long as ``run`` may go on with it."""
    rows = Occurrence.objects.select_related("reminder").filter(pk=pk, run=run)
    rows = rows.filter(state=Occurrence.State.SENDING).exclude(
        reminder__state=Reminder.State.CANCELLED
    )
    held = rows.select_for_update(of=("self", "reminder")).first()
    if held is None:
        raise Superseded
    return held


def _without(
    users: QuerySet[Any], reminder: int, occurrence: str, after: Any = None
) -> QuerySet[Any]:
    """Return those of ``users`` who don't have the occurrence, with keys greater than ``after``."""
    theirs = Delivery.objects.filter(
        reminder=reminder, occurrence=occurrence, user=OuterRef("pk")
    ).order_by()
    if after is not None:
        # Of both: a database that joins them would read what is behind it anew for each batch.
        users, theirs = users.filter(pk__gt=after), theirs.filter(user__gt=after)
    return users.exclude(Exists(theirs))


def _insert(reminder: Reminder, occurrence: str, pks: list[Any]) -> list[Delivery]:
    now = timezone.now()
    return Delivery.objects.bulk_create(
        Delivery(
            reminder=reminder,
            occurrence=occurrence,
            user_id=pk,
            created=now,
            expires=reminder.expires,
        )
        for pk in pks
    )


def _tell(deliveries: list[Delivery]) -> None:
    publish_many_on_commit(
        Draft(user_channel(delivery.user_id), EVENT, delivery.as_event()) for delivery in deliveries
    )


def _note_told(occurrence: int, run: UUID, last: int) -> None:
    """Take down how far ``run`` is, and keep its claim."""
    # Where Redis is away the messages count as told too: their channels are owed a reset.
    until = timezone.now() + timedelta(seconds=conf.reminder_claim_seconds)
    mine = Occurrence.objects.filter(pk=occurrence, run=run, state=Occurrence.State.SENDING)
    mine.update(told=last, claimed_until=until)
