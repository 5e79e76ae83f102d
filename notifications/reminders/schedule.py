"""
The schedule: beat sends what is due, and lays out what comes next.

An occurrence is a row: a reminder, a local time, the zone in which it is due. There is one for the
next time of each zone, so what is due is one query over an index, whatever the rule.

Several beats may run: each claims the rows that it sends. What they decide depends on rows and
not on what time it was a moment ago, so a clock may go back: what was sent stays sent.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

from django.db import InterfaceError, transaction
from django.db import OperationalError as DatabaseAway
from django.db.models import Exists, F, Max, Min, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError as BrokerAway

from ..conf import conf
from . import claims, recurrence, sending, zones
from .audience import audience
from .models import Occurrence, Reminder

logger = logging.getLogger(__name__)

State = Occurrence.State

LOOK_LENGTH: Final = 100  # due occurrences that are fetched at once
LOOK_OVER_LENGTH: Final = 20  # reminders that are looked over in one round, if there is time
LOOK_OVER_SLICE_SECONDS: Final = 0.2  # of a round
CATCH_UP_LENGTH: Final = 100  # missed occurrences of a zone that are laid out at once

# A first occurrence may have passed by this much while its reminder was being saved.
GRACE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)
# A zone that is new among readers may have its time by this much earlier than all others.
BETWEEN_ZONES: Final = timedelta(hours=28)
MOST_IN_TWO_DAYS: Final = 2 * 24 * 60 // recurrence.GAP_MIN_MINUTES + 2


# --- For those who write reminders ----------------------------------------------------------------


def plan(reminder: Reminder) -> None:
    """
    Lay out when ``reminder``, which is scheduled, is due; what was laid out before is dropped.

    For the transaction that saves it, after its audience. A time that has passed is due at once; of
    a rule only what is to come counts. Raises ``InvalidTime``, ``InvalidZone`` and ``InvalidRule``,
    the last also for a rule of which nothing is to come.
    """
    with transaction.atomic():
        Occurrence.objects.filter(reminder=reminder, state=State.DUE).delete()
        lay_out(reminder, timezone.now(), anew=True)
        if not Occurrence.objects.filter(reminder=reminder, state__in=claims.PENDING).exists():
            raise recurrence.InvalidRule(_("Nothing of this reminder is to come any more."))


def cancel(reminder: Reminder) -> bool:
    """
    Send ``reminder`` to nobody, or to nobody else; return whether that was still to be.

    What is being sent ends with the batch that it is at, and its job as cancelled.
    """
    states = (Reminder.State.DRAFT, *claims.ACTIVE)
    with transaction.atomic():
        # First, as beat has it that claims one and then sets the reminder's state.
        its = Occurrence.objects.filter(reminder=reminder)
        its.filter(state=State.DUE).delete()
        its.filter(state=State.SENDING).update(state=State.SKIPPED, claimed_until=None)
        rows = Reminder.objects.filter(pk=reminder.pk, state__in=states)
        return bool(rows.update(state=Reminder.State.CANCELLED, version=F("version") + 1))


def next_due(reminder: Reminder) -> datetime | None:
    """Return the moment at which ``reminder`` is due next, for the first of its readers."""
    rows = Occurrence.objects.filter(reminder=reminder, state=State.DUE)
    moment: datetime | None = rows.aggregate(due=Min("due"))["due"]
    return moment


# --- For beat -------------------------------------------------------------------------------------


def send_due(now: datetime) -> int:
    """
    Begin to send what is due, the oldest first; return how many occurrences were looked after.

    One that can't be sent is logged and tried again in ``claims.RETRY_SECONDS``.
    """
    due = Occurrence.objects.filter(claims.free(now), reminder__state__in=claims.ACTIVE)
    rows = list(due.select_related("reminder").order_by("due", "pk")[:LOOK_LENGTH])
    return sum(_send(occurrence, now) for occurrence in rows)


def look_over(now: datetime, after: int = 0) -> int:
    """
    Lay out again what has changed since: zones that are new among readers, and what was forgotten;
    and end reminders of which nothing is to come.

    Looks at some of those with primary keys greater than ``after``, so what is due does not wait
    for long. Returns the key to go on from, or 0 after the last.
    """
    pending = Occurrence.objects.filter(reminder=OuterRef("pk"), state__in=claims.PENDING)
    in_own_zones = Q(zone="") & Exists(pending.filter(due__lte=now + BETWEEN_ZONES))
    scheduled = Reminder.objects.filter(state__in=claims.ACTIVE, pk__gt=after).exclude(local_at="")
    rows = list(scheduled.filter(~Exists(pending) | in_own_zones).order_by("pk")[:LOOK_OVER_LENGTH])
    end = monotonic() + LOOK_OVER_SLICE_SECONDS
    for reminder in rows:
        try:
            lay_out(reminder, now)
        except ValueError as error:  # written past the forms
            logger.error("Reminder %s can't be scheduled: %s", reminder.pk, error)
        else:
            claims.settle(reminder.pk)
        if monotonic() > end:  # of many readers their zones take long
            return reminder.pk
    return rows[-1].pk if len(rows) == LOOK_OVER_LENGTH else 0


def lay_out(reminder: Reminder, now: datetime, *, anew: bool = False) -> None:
    """
    Make a row for the next occurrence in each zone, and for those that ``_missed_and_next`` finds.

    Rows that are there already stay as they are. ``anew``: nothing counts as missed.
    """
    start = recurrence.parse_local(reminder.local_at)
    rule = recurrence.parse_rule(reminder.rule) if reminder.rule else None
    names = {recurrence.check_zone(reminder.zone)} if reminder.zone else _zones_of(reminder)
    known = Occurrence.objects.filter(reminder=reminder).order_by().values("zone")
    ahead = Q(state=State.DUE, due__gt=now)
    newest = {
        row["zone"]: (row["newest"], row["next"])
        for row in known.annotate(newest=Max("local"), next=Max("due", filter=ahead))
    }
    wanted: list[Occurrence] = []
    for zone in sorted(names):
        last, next_due = newest.get(zone, (None, None))
        if rule is None:
            times: Iterable[datetime] = [start] if last != reminder.local_at else []
        elif next_due is not None:
            continue
        elif last is None or anew:
            times = _to_come(rule, start, last, zone, now)
        else:
            times = _missed_and_next(rule, start, recurrence.parse_local(last), zone, now)
        wanted += (_row(reminder, local, zone) for local in times)
    if reminder.expires is not None:
        wanted = [row for row in wanted if row.due < reminder.expires]
    Occurrence.objects.bulk_create(wanted, ignore_conflicts=True)


# --- One occurrence -------------------------------------------------------------------------------


def _send(occurrence: Occurrence, now: datetime) -> bool:
    """Send it, unless somebody else does; return whether it was this one's to do."""
    try:
        if not _take(occurrence, now):
            return False
        if _is_superseded(occurrence, now):
            claims.skip(occurrence)
        else:
            sending.start(occurrence.reminder_id, occurrence.local, occurrence.zone)
    except (DatabaseAway, InterfaceError):
        raise  # nothing else could be sent either
    except Exception as error:
        expected = isinstance(error, BrokerAway)
        logger.error("%s could not be sent: %s", occurrence, error, exc_info=not expected)
        claims.postpone(occurrence, now)
        return False
    return True


def _take(occurrence: Occurrence, now: datetime) -> bool:
    """Claim the occurrence, and lay out the next; in one step, so that a rule never breaks off."""
    reminder = occurrence.reminder
    with transaction.atomic():
        if not claims.claim(occurrence, now):
            return False
        if reminder.rule or not reminder.zone:
            _lay_out_or_log(reminder, now)
    return True


def _lay_out_or_log(reminder: Reminder, now: datetime) -> None:
    if not reminder.local_at:  # sent at once
        return
    try:
        lay_out(reminder, now)
    except ValueError as error:  # a zone that is gone; what is due is due all the same
        logger.error("What comes next of reminder %s is not known: %s", reminder.pk, error)


def _is_superseded(occurrence: Occurrence, now: datetime) -> bool:
    """Whether it was missed: nobody has begun it, and a newer one of its zone has come since."""
    begun = occurrence.state == State.SENDING
    if begun or not occurrence.reminder.rule or conf.reminder_catch_up == "all":
        return False
    newer = Occurrence.objects.filter(
        reminder=occurrence.reminder_id, zone=occurrence.zone, local__gt=occurrence.local
    )
    return newer.filter(due__lte=now).exists()


# --- Which times ----------------------------------------------------------------------------------


def _zones_of(reminder: Reminder) -> set[str]:
    return zones.of_audience(audience(reminder))


def _to_come(
    rule: recurrence.Rule, start: datetime, last: str | None, zone: str, now: datetime
) -> list[datetime]:
    """The next occurrence, of a zone that is new or a rule that has changed."""
    # Local times and moments differ by a jump of the clock, which is never more than a day.
    after = recurrence.to_local(now, zone) - DAY
    for local in recurrence.occurrences(rule, start, after, MOST_IN_TWO_DAYS):
        is_new = last is None or recurrence.to_text(local) > last
        if is_new and recurrence.to_utc(local, zone) > now - GRACE:
            return [local]
    return []


def _missed_and_next(
    rule: recurrence.Rule, start: datetime, last: datetime, zone: str, now: datetime
) -> list[datetime]:
    """
    What of the rule was missed since its ``last`` occurrence, and its next one.

    Missed ones are laid out as ``REMINDER_CATCH_UP`` says: only the newest, or all of them.
    """
    found: list[datetime] = []
    for limit in (2, recurrence.COUNT_MAX):  # most often nothing was missed
        found = recurrence.occurrences(rule, start, last, limit)
        if len(found) < limit or recurrence.to_utc(found[-1], zone) > now:
            break
    missed = [local for local in found if recurrence.to_utc(local, zone) <= now]
    following = found[len(missed) :][:1]
    if conf.reminder_catch_up == "all":
        return missed[:CATCH_UP_LENGTH] or following
    return missed[-1:] + following


def _row(reminder: Reminder, local: datetime, zone: str) -> Occurrence:
    return Occurrence(
        reminder=reminder,
        local=recurrence.to_text(local),
        zone=zone,
        due=recurrence.to_utc(local, zone),
        state=State.DUE,
    )
