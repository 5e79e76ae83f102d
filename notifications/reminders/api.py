"""
Reminding people from code: a task, a view, a shell.

    remind(project.members.all(), "The import is through", link="/jobs/", idempotency_key=job_id)
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from . import recurrence, report, schedule, sending
from .models import Reminder

USERS_PER_QUERY: Final = 500  # SQLite may be built to take no more than 999 parameters
GRACE: Final = timedelta(minutes=1)  # a moment that was computed a little while ago is not past


def remind(
    users: Any,
    title: str,
    text: str = "",
    *,
    level: str = Reminder.Level.INFO,
    link: str = "",
    at: datetime | None = None,
    zone: str | None = None,
    rule: str = "",
    expires: datetime | None = None,
    acknowledge: bool = False,
    idempotency_key: Any = None,
    by: Any = None,
    repeat_of: Reminder | None = None,
) -> Reminder:
    """
    Remind ``users`` of something, now or at a time; return the reminder.

    ``users`` is a user, or any number of users or primary keys; those who are not active when it
    is sent, and those who are gone, get nothing. Nobody is no error.

    ``at`` with a time zone is that moment. Without one it is a time on the clocks of ``zone``, or
    on each reader's own where no zone is given. ``rule`` is an iCalendar RRULE; the first time is
    ``at``, and for an ``at`` with a time zone ``zone`` says on which clocks it repeats (else UTC).
    It ends, by UNTIL or COUNT, after at most 10,000 times.
    Times are whole minutes.

    In a transaction nothing is told before it commits, and nothing has happened if it rolls back.
    ``idempotency_key`` (a text, up to 200 characters) makes sure of one: a second call with it
    returns the first one's reminder and sends nothing, also in another process at the same time.

    Raises ``ValidationError`` for a field that can't be, a time in the past among them, and for
    ``users`` that are something else.
    """
    texts = {"title": title, "text": text, "level": level, "link": link, "rule": rule}
    for name, value in {**texts, "zone": zone or ""}.items():
        if not isinstance(value, str | Promise):
            raise ValidationError({name: _("This is no text.")})
    for name, moment in (("at", at), ("expires", expires)):
        if moment is not None:
            _check_moment(name, moment)
    if expires is not None and timezone.is_naive(expires):
        raise ValidationError({"expires": _("This needs a time zone: it is one moment for all.")})
    keys = _keys(users)
    reminder = Reminder(
        **{name: str(value) for name, value in texts.items()},
        expires=expires,
        acknowledge=acknowledge,
        repeat_of=repeat_of,
        created_by=by if by is not None and by.pk is not None else None,  # an anonymous user
    )
    due = timezone.now()
    if at is not None:
        reminder.local_at, reminder.zone, due = _local(at, zone)
        if rule:
            _checked("rule", _check_end, reminder)
    elif rule:
        raise ValidationError({"at": _("What repeats needs the time at which it begins.")})
    elif zone is not None:
        reminder.zone = _checked("zone", recurrence.check_zone, zone)
    if expires is not None and expires <= due:
        raise ValidationError({"expires": _("It would have expired before anybody reads it.")})
    key = None if idempotency_key is None else str(idempotency_key)
    if key is not None:
        if not key:
            raise ValidationError({"idempotency_key": _("An empty key is none: leave it out.")})
        reminder.idempotency_key = key
    reminder.clean_fields()
    reminder.clean()
    with transaction.atomic():
        if key is None:
            reminder.save()
        else:
            # The unique key decides who of two at the same time makes it; the other one waits for
            # the first one's commit, and finds that.
            fields = {
                field.attname: getattr(reminder, field.attname)
                for field in Reminder._meta.concrete_fields
                if not field.primary_key and field.attname != "idempotency_key"
            }
            reminder, made = Reminder.objects.get_or_create(idempotency_key=key, defaults=fields)
            if not made:
                return reminder
        _address(reminder, keys)
        if at is None:
            sending.send_now(reminder, by)
        else:
            reminder.state = Reminder.State.SCHEDULED
            reminder.save(update_fields=["state"])
            _checked("rule" if rule else "at", schedule.plan, reminder)
    reminder.refresh_from_db()
    return reminder


def send_test(reminder: Reminder, by: Any) -> Reminder:
    """Send ``by`` alone what people would get of ``reminder``, which may be unsaved."""
    title = _("Test: %(title)s") % {"title": reminder.title}
    return remind([by], title[:200], **_content(reminder), by=by)


def remind_again(reminder: Reminder, by: Any, idempotency_key: Any = None) -> Reminder:
    """
    Send ``reminder`` once more, as a new one, to those who have not acknowledged it.

    The new one is a ``repeat_of`` the first of all; who acknowledges one has acknowledged all.
    """
    return remind(
        report.not_acknowledged(reminder),
        reminder.title,
        **_content(reminder),
        idempotency_key=idempotency_key,
        by=by,
        repeat_of=reminder.repeat_of or reminder,
    )


def _content(reminder: Reminder) -> dict[str, Any]:
    names = ("text", "level", "link", "expires", "acknowledge")
    return {name: getattr(reminder, name) for name in names}


def _check_moment(field: str, moment: Any) -> None:
    """Refuse what is no moment, and years at which computing with zones overflows."""
    if not isinstance(moment, datetime):
        raise ValidationError({field: _("This is not a date and time.")})
    _checked(field, recurrence.parse_local, recurrence.to_text(moment.replace(tzinfo=None)))


def _local(at: datetime, zone: str | None) -> tuple[str, str, datetime]:
    """Return ``at`` as a time on somebody's clocks, whose, and its first moment. Not the past."""
    name = "" if zone is None else _checked("zone", recurrence.check_zone, zone)
    now = timezone.now()
    last: datetime | None = None
    if timezone.is_aware(at):
        due = at
        # To the minute, and rather some seconds late than early.
        moment = at.replace(second=0, microsecond=0)
        if moment < at:
            moment += timedelta(minutes=1)
        name = name or "UTC"
        at = recurrence.to_local(moment, name)
        if recurrence.to_utc(at, name) != moment:  # the second of two that look the same there
            at, name = recurrence.to_local(moment, "UTC"), "UTC"
    elif name:
        due = _checked("at", recurrence.to_utc, at, name)
    else:
        # From where clocks are ahead of all others to where they are behind them.
        due = at.replace(tzinfo=UTC) - timedelta(hours=14)
        last = due + timedelta(hours=26)
    if (last or due) < now - GRACE:
        raise ValidationError({"at": _("This time has passed. Leave it out to send at once.")})
    return recurrence.to_text(at.replace(second=0, microsecond=0)), name, due


def _checked(field: str, check: Any, *args: Any) -> Any:
    """Call ``check``; the sentence of what it refuses becomes the field's error."""
    try:
        return check(*args)
    except ValidationError:
        raise
    except ValueError as error:
        # By no field of its own: "at" is two of them.
        raise ValidationError({field: str(error)}) from error


def _address(reminder: Reminder, keys: Iterable[Any]) -> None:
    """Keep who is addressed, those who exist, a batch at a time."""
    through = Reminder.users.through
    column = Reminder.users.field.m2m_reverse_name()
    found = get_user_model()._default_manager.order_by()
    for batch in _batches(keys):
        try:
            pks = list(found.filter(pk__in=batch).values_list("pk", flat=True))
        except (TypeError, ValueError, OverflowError) as error:
            raise ValidationError({"users": _("These are no users.")}) from error
        through._default_manager.bulk_create(
            (through(**{"reminder_id": reminder.pk, column: pk}) for pk in pks),
            ignore_conflicts=True,
        )


def _check_end(reminder: Reminder) -> None:
    rule = recurrence.parse_rule(reminder.rule)
    recurrence.check_end(rule, recurrence.parse_local(reminder.local_at))


def _keys(users: Any) -> Iterable[Any]:
    """Return the primary keys; of many users none is held in memory longer than needed."""
    if isinstance(users, str | bytes) or not isinstance(users, Iterable):
        users = [users]
    elif isinstance(users, QuerySet) and issubclass(users.model, get_user_model()):
        if not users.query.is_sliced:
            users = users.order_by()
        keys: Iterable[Any] = users.values_list("pk", flat=True).iterator()
        return keys
    return (_key(user) for user in users)


def _key(user: Any) -> Any:
    if not isinstance(user, Model):
        return getattr(user, "pk", user)  # a key, or an anonymous user, who has none
    if not isinstance(user, get_user_model()):
        kind = user._meta.verbose_name
        raise ValidationError(
            {"users": _("Users can be reminded, not a %(kind)s.") % {"kind": kind}}
        )
    return user.pk


def _batches(keys: Iterable[Any]) -> Iterable[list[Any]]:
    rest = (key for key in keys if key is not None)  # an anonymous or unsaved user has none
    while batch := list(islice(rest, USERS_PER_QUERY)):
        yield batch
