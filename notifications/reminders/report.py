"""
The report of a reminder: how many it was sent to, and what became of it; live on its channel.

The channel is ``reminder-<pk>``, its latest value ``report``. A hundred thousand people who read
the same reminder change its report as often, so it is counted only while somebody watches, and at
most every ``PAUSE_SECONDS`` over all processes. What falls into a pause is noted, and beat tells
it.
"""

import logging
from collections.abc import Iterable
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from .. import resets
from ..conf import conf
from ..connections import exchange, redis_errors
from ..exceptions import RedisUnavailable
from ..publishing import publish
from ..scripts import command
from ..storage import live_name
from .models import CHANNEL_PREFIX, Delivery, Reminder

logger = logging.getLogger(__name__)

EVENT: Final = "reminder-report"
KEY: Final = "report"

PAUSE_SECONDS: Final = 0.4
NOTED_SECONDS: Final = 60 * 60


def channel_of(reminder: Any) -> str:
    """Return the name of a reminder's channel; ``reminder`` is one or its primary key."""
    return f"{CHANNEL_PREFIX}{getattr(reminder, 'pk', reminder)}"


def may_read(user: Any, pk: str) -> bool:
    """The report is for staff who may view reminders, while the account is active."""
    if user is None or not user.is_authenticated or not user.is_active:
        return False
    if not (pk.isascii() and pk.isdigit() and len(pk) < 20 and str(int(pk)) == pk):
        return False
    return bool(
        user.is_staff
        and user.has_perm("reminders.view_reminder")
        and Reminder.objects.filter(pk=int(pk)).exists()
    )


def counts(reminder: Any) -> dict[str, int]:
    """
    Return how many deliveries of the reminder there are, and how many of them are delivered to an
    open page, read, acknowledged, snoozed now, and expired unread. One query.
    """
    now = timezone.now()
    deliveries = Delivery.objects.filter(reminder=getattr(reminder, "pk", reminder)).order_by()
    return deliveries.aggregate(
        addressed=Count("pk"),
        delivered=Count("delivered_at"),
        read=Count("read_at"),
        acknowledged=Count("acknowledged_at"),
        snoozed=Count("pk", filter=Q(snoozed_until__gt=now)),
        expired=Count("pk", filter=Q(expires__lte=now, read_at=None)),
    )


def current(reminder: Any) -> dict[str, Any]:
    """
    Return the data of a ``reminder-report``: the counts, and ``at``, the moment they are as of.

    Reports may overtake each other: a page ignores one whose ``at`` is older than what it shows.
    """
    at = timezone.now()
    return {"at": at, **counts(reminder)}


def not_acknowledged(reminder: Reminder) -> QuerySet[Any]:
    """Return the active users who have an occurrence of ``reminder`` still to acknowledge."""
    open_ones = Delivery.objects.filter(
        reminder=reminder, user=OuterRef("pk"), acknowledged_at=None
    )
    return get_user_model()._default_manager.filter(Exists(open_ones), is_active=True)


def changed(reminders: Iterable[int]) -> None:
    """Tell those who watch one of ``reminders``, once the transaction commits."""
    pks = sorted(set(reminders))
    if pks:
        transaction.on_commit(lambda: _note(pks))


def flush() -> None:
    """
    Tell what has changed and was not told yet, of the reminders that somebody watches. Raises
    ``RedisUnavailable``.
    """
    with redis_errors("Reports could not be told"):
        [members] = exchange([command("SMEMBERS", _noted())])
        if members:
            _tell(sorted(int(pk) for pk in members))


def _note(pks: list[int]) -> None:
    if resets.just_owed():  # Redis is away: the commit has waited for it once, and not again
        return
    try:
        with redis_errors("A report could not be told"):
            # Whoever opens a report later than this has counted for themselves.
            keep = command("EXPIRE", _noted(), NOTED_SECONDS)
            exchange([command("SADD", _noted(), *pks), keep])
            _tell(pks)
    except RedisUnavailable as error:
        logger.warning("%s", error)


def _tell(pks: list[int]) -> None:
    names = [live_name(channel_of(pk)) for pk in pks]
    [numbers] = exchange([command("PUBSUB", "NUMSUB", *names)])
    watched = [pk for pk, number in zip(pks, numbers[1::2], strict=True) if number]
    for pk in watched:
        pause = command("SET", _pause(pk), 1, "NX", "PX", int(PAUSE_SECONDS * 1000))
        if exchange([pause]) == [None]:
            continue
        # Before it is counted: a change that comes in between is noted anew.
        exchange([command("SREM", _noted(), pk)])
        publish(channel_of(pk), EVENT, current(pk), key=KEY)


def _noted() -> str:
    return f"{conf.prefix}:reports"


def _pause(pk: int) -> str:
    return f"{conf.prefix}:reports:{pk}"
