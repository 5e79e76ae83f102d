"""
A group, chord or chain under one job: its members, and one bar over all of them.

    job = start_group(chord([count.s(name) for name in names], add_up.s()), owner=user, title="…")

The job ends with its last member. Its bar is kept in Redis: for each member how far it has come at
most, and the sum, so that a tick costs one call however many members there are. A member that has
failed counts as one that has ended; those that would have followed it are cancelled.
"""

import logging
from collections.abc import Iterator
from threading import Timer
from typing import Any, Final, cast
from uuid import UUID, uuid4

from celery import current_app
from celery.canvas import Signature, _chain, chord, group, maybe_signature
from django.db import transaction
from django.db.models import Count, F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..channels import user_channel
from ..conf import conf
from ..connections import exchange, redis_errors, run
from ..exceptions import RedisUnavailable
from ..messages import Draft
from ..publishing import publish, publish_many_on_commit
from ..scripts import Script, command
from . import storable
from .models import CHANNEL_PREFIX, LARGE, TITLE_MAX_LENGTH, UNFINISHED, Job, State
from .transitions import change, say

logger = logging.getLogger(__name__)

PUBLISH_MILLISECONDS: Final = 100  # between two states of a group's bar, whoever says them
BAR_SECONDS: Final = 7 * 24 * 60 * 60
MEMBERS_AT_ONCE: Final = 500  # rows in one statement
GIVEN_BY_CELERY: Final = frozenset({"task_id", "group_id", "root_id", "parent_id", "reply_to"})
NAMED_MAX: Final = 200  # members of which each is said that it was cancelled
MEMORY: Final = 64  # groups of which a process remembers the job

RATE_FIRST_SECONDS: Final = 2.0  # before that a time left means nothing
FRACTION_FIRST: Final = 0.02

# `m:<id>` is how far a member has come, in millionths; `sum` all of them together. A Redis that
# lost them is told by `done` and `failed` how many have ended, which the bar does not fall below.
# The number of a tick goes by the clock, so that it rises even then.
ADVANCE: Final = Script("""
local bar, member, reached = KEYS[1], 'm:' .. ARGV[1], tonumber(ARGV[2])
local total, every = tonumber(ARGV[3]), tonumber(ARGV[6])
local now = redis.call('TIME')
local millis = now[1] * 1000 + math.floor(now[2] / 1000)
local known = redis.call('HMGET', bar, member, 'sum', 'tick', 'said', 'done', 'failed', 'over')
local before, sum = tonumber(known[1] or 0), tonumber(known[2] or 0)
local done = math.max(tonumber(ARGV[4]), tonumber(known[5] or 0))
local failed = math.max(tonumber(ARGV[5]), tonumber(known[6] or 0))
local tick = tonumber(known[3] or 0)
if reached > before then
  sum = sum + reached - before
  redis.call('HSET', bar, member, reached)
end
sum = math.min(math.max(sum, (done + failed) * 1000000), total * 1000000)
local due = not known[7] and millis - tonumber(known[4] or 0) >= every
if due then
  tick = math.max(tick + 1, millis)
  redis.call('HSET', bar, 'said', millis, 'tick', string.format('%.0f', tick))
end
redis.call('HSET', bar, 'sum', string.format('%.0f', sum), 'done', done, 'failed', failed)
redis.call('EXPIRE', bar, ARGV[7])
return {due and 1 or 0, string.format('%.0f', sum), string.format('%.0f', tick), done, failed}
""")

_remembered: dict[UUID, Job] = {}
_waiting: set[UUID] = set()


def start_group(
    canvas: Signature[Any], *, owner: Any = None, title: str = "", **options: Any
) -> Job:
    """
    Queue a ``group``, ``chord`` or ``chain`` as one job, and return that.

    Each tracked task in it becomes a member; its title may be given by ``.set(title=…)``. Other
    tasks run too and do not count. The result of the job is that of the last task of a chain or
    the body of a chord. ``options`` go to ``canvas.apply_async``. The messages are sent when the
    transaction commits; where the broker can't be reached the job has failed, and Celery's
    ``OperationalError`` is raised.
    """
    from .tasks import TrackedTask

    canvas = canvas.clone()
    leaves = [
        (place, leaf) for place, leaf in _leaves(canvas, ()) if isinstance(_type(leaf), TrackedTask)
    ]
    if not leaves:
        raise ValueError("There is no TrackedTask in this group, so it can't be followed as a job.")
    owner_id = getattr(owner, "pk", owner)
    kind = str(canvas.get("subtask_type") or canvas["task"]).removeprefix("celery.")
    with transaction.atomic():
        parent = Job.objects.create(
            owner_id=owner_id,
            title=storable.clean(title or _("Several tasks"))[:TITLE_MAX_LENGTH],
            task=f"celery.{kind}",
            members_total=len(leaves),
        )
        Job.objects.bulk_create(
            [_member(parent, place, leaf) for place, leaf in leaves], MEMBERS_AT_ONCE
        )
        say(parent)
        transaction.on_commit(lambda: _send(parent, canvas, options))
    return parent


def _leaves(
    signature: Any, place: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Signature[Any]]]:
    """Yield the tasks of a canvas, each with its place in it."""
    if isinstance(signature, chord):
        parts = signature["kwargs"]
        if not isinstance(signature.tasks, group):
            parts["header"] = group([_signature(task) for task in signature.tasks])
        yield from _leaves(parts["header"], (*place, "c00000"))
        parts["body"] = _signature(signature.body)
        yield from _leaves(parts["body"], (*place, "c00001"))
    elif isinstance(signature, (group, _chain)):
        letter = "g" if isinstance(signature, group) else "c"
        tasks = signature["kwargs"]["tasks"] = [_signature(task) for task in signature.tasks]
        for number, task in enumerate(tasks):
            yield from _leaves(task, (*place, f"{letter}{number:05}"))
    else:
        yield place, signature


def _signature(task: Any) -> Any:
    return maybe_signature(task, app=current_app)


def _type(leaf: Signature[Any]) -> Any:
    try:
        return leaf.type
    except KeyError:  # a task of other workers, known here by its name alone
        return None


def _member(parent: Job, place: tuple[str, ...], leaf: Signature[Any]) -> Job:
    task = _type(leaf)
    pk = leaf.options.setdefault("task_id", str(uuid4()))
    leaf.options.pop("owner", None)
    title = leaf.options.pop("title", "") or task.job_title(leaf.args, leaf.kwargs)
    return Job(
        pk=UUID(pk),
        parent=parent,
        place=".".join(place)[:200],
        owner_id=parent.owner_id,
        title=storable.clean(title)[:TITLE_MAX_LENGTH],
        task=task.name,
        queue=task.job_queue(leaf.options),
        result_template=task.result_template,
    )


def _send(parent: Job, canvas: Signature[Any], options: dict[str, Any]) -> None:
    try:
        _apply(canvas, options)
    except Exception:
        with transaction.atomic():
            # As it stands, so that the members that are dropped next do not end it otherwise.
            failed = change(
                parent.pk,
                UNFINISHED,
                state=State.FAILED,
                finished=timezone.now(),
                error=_("The job could not be queued."),
            )
            drop(parent.pk, Job.objects.filter(parent=parent, state=State.QUEUED))
        if failed is not None:
            raise
        # Run at once by Celery's eager mode, it has ended by itself, and says why.


def _apply(canvas: Signature[Any], options: dict[str, Any]) -> None:
    if not isinstance(canvas, group):
        canvas.apply_async(**options)
        return
    # One by one: Celery's group would subscribe to the results of all of them, in this process.
    shared = {name: value for name, value in canvas.options.items() if name not in GIVEN_BY_CELERY}
    for task in canvas.tasks:
        _apply(task, {**shared, **options})


# --- Steps of the members, within the transaction of each -----------------------------------------


def member_started(member: Job) -> None:
    """The first member to start starts the group."""
    now = timezone.now()
    job = change(
        _parent(member),
        (State.QUEUED,),
        state=State.RUNNING,
        started=Coalesce("started", now),
        heartbeat=now,
    )
    parent = job or Job.objects.defer(*LARGE).filter(pk=_parent(member)).first()
    if parent is not None:
        _remember(parent)


def member_ended(member: Job) -> None:
    """Count a member that has ended; the last one ends the group."""
    # Members are locked before their group, here as everywhere, or two could wait for each other.
    if member.state == State.SUCCEEDED:
        _count(_parent(member), done=1)
    else:
        _count(_parent(member), failed=1 + _drop(_followers(member)))
    _settle(_parent(member), member)


def member_found(member: Job) -> None:
    """Count a member back that had been lost and is running again."""
    _count(_parent(member), failed=-1)
    parent = _parent(member)
    if change(parent, (State.LOST,), state=State.RUNNING, finished=None, error=""):
        _note(parent, over=False)


def drop(parent: UUID, members: Any) -> None:
    """Mark members that wait as cancelled, all at once."""
    _count(parent, failed=_drop(members))
    _settle(parent, None)


def cancel(parent: UUID, running: list[UUID]) -> bool:
    """
    Cancel the members that wait, and note the wish for those that run; False if it was noted.

    Where nothing runs, the group has ended then.
    """
    now = timezone.now()
    wish = {"cancel_requested": now, "version": F("version") + 1}
    Job.objects.filter(pk__in=running).update(**wish)
    members = Job.objects.filter(parent_id=parent, state__in=(State.QUEUED, State.RETRYING))
    dropped = _drop(members)
    job = change(parent, UNFINISHED, {"cancel_requested": None}, cancel_requested=now)
    _count(parent, failed=dropped)
    _settle(parent, None)
    return job is not None


def _drop(members: Any) -> int:
    """Mark members as cancelled at once; the first of them are named to who watches the group."""
    named = list(members.values_list("pk", flat=True)[:NAMED_MAX])
    dropped: int = members.update(
        state=State.CANCELLED, finished=timezone.now(), version=F("version") + 1
    )
    rows = Job.objects.defer(*LARGE).filter(pk__in=named, state=State.CANCELLED)
    publish_many_on_commit(
        [Draft(f"{CHANNEL_PREFIX}{row.parent_id}", "member", row.as_event()) for row in rows]
    )
    return dropped


def _parent(member: Job) -> UUID:
    return cast("UUID", member.parent_id)


def _count(parent: UUID, *, done: int = 0, failed: int = 0) -> None:
    Job.objects.filter(pk=parent).update(
        members_done=F("members_done") + done, members_failed=F("members_failed") + failed
    )


def _followers(member: Job) -> Any:
    """
    Return the members that would have run after this one, had it succeeded.

    Where it stands in a step of a chain, these are the later steps of the same chain.
    """
    later = Q(pk__in=())
    parts = member.place.split(".")
    for depth, part in enumerate(parts):
        if part.startswith("c"):
            before = ".".join([*parts[:depth], ""])
            later |= (
                Q(place__startswith=f"{before}c")
                & Q(place__gt=f"{before}{part}")
                & ~Q(place__startswith=f"{before}{part}")
            )
    return Job.objects.filter(later, parent_id=member.parent_id, state=State.QUEUED)


def _settle(parent: UUID, last: Job | None) -> None:
    job = Job.objects.defer(*LARGE).filter(pk=parent).first()
    if job is None:
        return
    if job.members_done + job.members_failed < job.members_total:
        if last is not None:
            _remember(job)
            transaction.on_commit(lambda: advance(parent, last.pk, 1.0))
        return
    state, error = _outcome(job)
    changes: dict[str, Any] = {"state": state, "error": error, "finished": timezone.now()}
    if state == State.SUCCEEDED:
        changes |= {"fraction": 1.0, **_result(job)}
    _note(parent, over=True)
    change(parent, UNFINISHED, **changes)
    _remembered.pop(parent, None)


def _outcome(job: Job) -> tuple[State, str]:
    rows = Job.objects.filter(parent_id=job.pk).values_list("state").annotate(Count("pk"))
    counts = dict(rows.order_by())
    if job.cancel_requested is not None and counts.get(State.CANCELLED):
        return State.CANCELLED, ""
    for state in (State.FAILED, State.LOST, State.CANCELLED):
        if number := counts.get(state, 0):
            text = {
                State.FAILED: ngettext("%(n)s part failed.", "%(n)s parts failed.", number),
                State.LOST: ngettext("%(n)s part was lost.", "%(n)s parts were lost.", number),
                State.CANCELLED: ngettext(
                    "%(n)s part was cancelled.", "%(n)s parts were cancelled.", number
                ),
            }[state]
            return state, text % {"n": number}
    return State.SUCCEEDED, ""


def _result(job: Job) -> dict[str, Any]:
    """The result of the task that came last, where one task alone did."""
    last = Job.objects.filter(parent_id=job.pk).order_by("-place").first()
    if last is None or any(part.startswith("g") for part in last.place.split(".")):
        return {}
    return {
        "result": last.result,
        "result_note": last.result_note,
        "result_template": last.result_template,
    }


# --- The bar --------------------------------------------------------------------------------------


def advance(parent: UUID, member: UUID, fraction: float) -> None:
    """
    Say how far a member has come (0 to 1): one call to Redis, and ten times a second two more.

    Never raises for a Redis that is away, and never takes the bar back.
    """
    job = _remembered.get(parent) or _look_up(parent)
    if job is None or job.is_finished:
        return
    reached = min(max(int(fraction * 1_000_000), 0), 1_000_000)
    words: list[str | int] = [str(member), reached, job.members_total]
    words += [job.members_done, job.members_failed, PUBLISH_MILLISECONDS, BAR_SECONDS]
    try:
        with redis_errors("The bar of a group was not moved"):
            due, reached, tick, done, failed = run(ADVANCE, [_bar(parent)], words)
        job.members_done, job.members_failed = int(done), int(failed)
        if due:
            job.tick = int(tick)
            job.fraction = int(reached) / 1_000_000 / job.members_total
            job.eta = _left(job)
            _say_bar(job)
        elif fraction >= 1:
            _say_later(parent, member)
    except RedisUnavailable as error:
        logger.warning("The bar of job %s stands still: %s", parent, error)


def _say_bar(job: Job) -> None:
    if job.owner_id is None:
        return
    publish(user_channel(job.owner_id), "job", job.as_event(), key=job.key)
    if not exchange([command("HEXISTS", _bar(job.pk), "over")])[0]:
        return
    # The group has ended meanwhile, and its bar must not outlive it: the end is said again.
    ended = _look_up(job.pk)
    if ended is not None and ended.is_finished:
        say(ended)


def _say_later(parent: UUID, member: UUID) -> None:
    """The state after the last member to end so far is said even if nothing else comes."""
    if parent in _waiting:
        return
    _waiting.add(parent)

    def again() -> None:
        _waiting.discard(parent)
        if parent in _remembered:  # a thread of its own must not open a database connection
            advance(parent, member, 1.0)

    timer = Timer(PUBLISH_MILLISECONDS / 1000, again)
    timer.daemon = True
    timer.start()


def _note(parent: UUID, *, over: bool) -> None:
    words = ("HSET", _bar(parent), "over", 1) if over else ("HDEL", _bar(parent), "over")
    try:
        with redis_errors("The end of a group was not noted"):
            exchange([command(*words), command("EXPIRE", _bar(parent), BAR_SECONDS)])
    except RedisUnavailable as error:
        logger.warning("%s", error)


def _bar(parent: UUID) -> str:
    return f"{conf.prefix}:jobs:bar:{parent}"


def _left(job: Job) -> float | None:
    """Seconds left, from the whole time so far; the members' own paces even out in it."""
    if job.started is None or job.fraction is None or job.fraction < FRACTION_FIRST:
        return None
    passed = (timezone.now() - job.started).total_seconds()
    if passed < RATE_FIRST_SECONDS:
        return None
    return passed * (1 - job.fraction) / job.fraction


def _remember(job: Job) -> None:
    while len(_remembered) >= MEMORY and job.pk not in _remembered:
        _remembered.pop(next(iter(_remembered)))
    _remembered[job.pk] = job


def _look_up(parent: UUID) -> Job | None:
    job = Job.objects.defer(*LARGE).filter(pk=parent).first()
    if job is not None:
        _remember(job)
    return job
