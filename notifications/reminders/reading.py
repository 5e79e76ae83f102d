"""
What a person does with reminders, and what time does: read, unread, snoozed, acknowledged, awake
again, expired.

Each is one claim on the rows that are not so yet: of two tabs at once, one changes and tells it.
The person's pages are told in one ``reminder-state`` message, {"ids", "state", "until"?}, once the
transaction commits, and the reminder's report changes with it. Ids of other people, of nothing, and
of what is so already change nothing; each function returns the ids that it has changed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final, TypeVar

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from ..channels import user_channel
from ..messages import Draft
from ..publishing import publish_many_on_commit
from . import report
from .models import EVENT, Delivery, DeliveryQuerySet

T = TypeVar("T")

STATE_EVENT: Final = "reminder-state"

IDS_PER_QUERY: Final = 500  # SQLite may be built to take no more than 999 parameters
IDS_PER_MESSAGE: Final = 1000  # about 10 KB; the transport refuses messages over 64 KiB

UNDISTURBED: Final = 500  # rows that `wake` and `expire` take at once, unless told otherwise


def mark_read(user: Any, ids: Iterable[int] | None = None) -> list[int]:
    """Mark ``user``'s reminders read, those with ``ids`` or all that are visible; ends a snooze."""
    now = timezone.now()
    unread = _own(user, ids).unread()
    if ids is None:
        unread = unread.visible(now)
    seen = Coalesce(F("delivered_at"), now)
    return _change(user, unread, "read", read_at=now, delivered_at=seen, snoozed_until=None)


def mark_unread(user: Any, ids: Iterable[int]) -> list[int]:
    """Mark what was read or is snoozed unread again; what has expired stays as it is."""
    settled = Q(read_at__isnull=False) | Q(snoozed_until__isnull=False)
    own = _own(user, ids).unexpired(timezone.now()).filter(settled)
    return _change(user, own, "unread", read_at=None, snoozed_until=None)


def snooze(user: Any, ids: Iterable[int], until: datetime) -> list[int]:
    """Hide reminders ``until`` then; they come back unread. Raises ``ValueError`` for the past."""
    now = timezone.now()
    if until <= now:
        raise ValueError("A reminder can be snoozed until a time that is to come only.")
    own = _own(user, ids).unexpired(now).exclude(snoozed_until=until)
    return _change(user, own, "snoozed", until, read_at=None, snoozed_until=until)


def acknowledge(user: Any, ids: Iterable[int]) -> list[int]:
    """
    Acknowledge reminders whose sender asks for it, which reads them too.

    Who acknowledges one that was sent again has acknowledged the first one and its other repeats.
    """
    now = timezone.now()
    meant = _own(user, ids).filter(reminder__acknowledge=True)
    firsts = meant.order_by().values(first=Coalesce("reminder__repeat_of", "reminder"))
    same = Q(reminder__in=firsts) | Q(reminder__repeat_of__in=firsts)
    # Not other occurrences of a reminder that repeats by a rule: each asks for itself.
    others = same & ~Q(reminder__in=meant.order_by().values("reminder"))
    own = Delivery.objects.of(user).filter(
        Q(pk__in=meant.order_by().values("pk")) | others,
        acknowledged_at=None,
        reminder__acknowledge=True,
    )
    return _change(
        user,
        own,
        "acknowledged",
        acknowledged_at=now,
        read_at=Coalesce(F("read_at"), now),
        delivered_at=Coalesce(F("delivered_at"), now),
        snoozed_until=None,
    )


def mark_delivered(user: Any, ids: Iterable[int]) -> list[int]:
    """Note that an open page shows these; told to the sender only."""
    now = timezone.now()
    return _change(user, _own(user, ids).filter(delivered_at=None), "", delivered_at=now)


def wake(now: datetime, limit: int = UNDISTURBED) -> int:
    """
    End the snoozes that are over at ``now``; return how many. For beat, again and again.

    Each is told as a ``reminder`` that comes anew, with the time it was snoozed until as ``woken``.
    """
    over = Delivery.objects.filter(snoozed_until__lte=now).unexpired(now)
    if not over.exists():  # mostly; a transaction would take SQLite's lock for nothing
        return 0
    with transaction.atomic():
        rows = over.select_related("reminder").order_by("pk").select_for_update(of=("self",))
        woken = list(rows[:limit])
        drafts = [
            Draft(
                user_channel(delivery.user_id),
                EVENT,
                delivery.as_event() | {"woken": delivery.snoozed_until},
            )
            for delivery in woken
        ]
        _update([delivery.pk for delivery in woken], snoozed_until=None)
        publish_many_on_commit(drafts)
        report.changed(delivery.reminder_id for delivery in woken)
    return len(woken)


def expire(now: datetime, limit: int = UNDISTURBED) -> int:
    """Tell what expired by ``now`` unread; return how many rows were seen, read ones among them."""
    over = Delivery.objects.filter(expires__lte=now, expiry_told=False)
    if not over.exists():
        return 0
    ids: dict[Any, list[int]] = defaultdict(list)
    with transaction.atomic():
        rows = over.order_by("pk").select_for_update()
        expired = list(rows.values_list("pk", "user_id", "reminder_id", "read_at")[:limit])
        for pk, user, _, read_at in expired:
            if read_at is None:
                ids[user].append(pk)
        _update([row[0] for row in expired], expiry_told=True, snoozed_until=None)
        publish_many_on_commit(
            draft for user, pks in ids.items() for draft in _drafts(user, pks, "expired")
        )
        report.changed(row[2] for row in expired)
    return len(expired)


def _own(user: Any, ids: Iterable[int] | None) -> DeliveryQuerySet:
    own = Delivery.objects.of(user)
    return own if ids is None else own.filter(pk__in=set(ids))


def _change(
    user: Any,
    deliveries: DeliveryQuerySet,
    state: str,
    until: datetime | None = None,
    **changes: Any,
) -> list[int]:
    with transaction.atomic():
        # The lock makes this a claim: whoever waits for it finds that the condition is gone.
        # All who lock several do so by primary key, or two of them might wait for each other.
        held = deliveries.order_by("pk").select_for_update(of=("self",))
        rows = list(held.values_list("pk", "reminder_id"))
        if not rows:
            return []
        pks = [pk for pk, _ in reversed(rows)]  # the newest first
        _update(pks, **changes)
        if state:
            publish_many_on_commit(_drafts(user.pk, pks, state, until))
        report.changed(reminder for _, reminder in rows)
    return pks


def _update(pks: list[int], **changes: Any) -> None:
    for batch in batches(pks, IDS_PER_QUERY):
        Delivery.objects.filter(pk__in=batch).update(**changes)


def _drafts(
    user: Any, pks: list[int], state: str, until: datetime | None = None
) -> Iterator[Draft]:
    for batch in batches(pks, IDS_PER_MESSAGE):
        data: dict[str, Any] = {"ids": batch, "state": state}
        if until is not None:
            data["until"] = until
        yield Draft(user_channel(user), STATE_EVENT, data)


def batches(items: list[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
