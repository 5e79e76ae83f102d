"""
The one bar of a group, kept in Redis: for each member how far it has come at most, and the sum.

So a tick costs one call however many members there are, whichever process says it.
"""

import logging
from threading import Timer
from typing import Final
from uuid import UUID

from django.utils import timezone

from ..channels import user_channel
from ..conf import conf
from ..connections import exchange, redis_errors, run
from ..exceptions import RedisUnavailable
from ..publishing import publish
from ..scripts import Script, command
from .models import LARGE, Job
from .transitions import say

logger = logging.getLogger(__name__)

PUBLISH_MILLISECONDS: Final = 100  # between two states of a group's bar, whoever says them
SAYING_MILLISECONDS: Final = 2_000  # after that, who had the word is taken for dead
BAR_SECONDS: Final = 7 * 24 * 60 * 60
MEMORY: Final = 64  # groups of which a process remembers the job

RATE_FIRST_SECONDS: Final = 2.0  # before that a time left means nothing
FRACTION_FIRST: Final = 0.02


# `m:<id>` is how far a member has come, in millionths; `sum` all of them together. A Redis that
# lost them is told by `done` and `failed` how many have ended, which the bar does not fall below.
# The number of a tick goes by the clock, so that it rises even then. One process at a time has the
# word (`saying`): a slower one would put an older bar in the place of a newer one.
ADVANCE: Final = Script("""
local bar, member, reached = KEYS[1], 'm:' .. ARGV[1], tonumber(ARGV[2])
local total, every = tonumber(ARGV[3]), tonumber(ARGV[6])
local now = redis.call('TIME')
local millis = now[1] * 1000 + math.floor(now[2] / 1000)
local known = redis.call('HMGET', bar, member, 'sum', 'tick', 'said', 'done', 'failed', 'over',
  'saying')
local before, sum = tonumber(known[1] or 0), tonumber(known[2] or 0)
local done = math.max(tonumber(ARGV[4]), tonumber(known[5] or 0))
local failed = math.max(tonumber(ARGV[5]), tonumber(known[6] or 0))
local tick = tonumber(known[3] or 0)
if reached > before then
  sum = sum + reached - before
  redis.call('HSET', bar, member, reached)
end
sum = math.min(math.max(sum, (done + failed) * 1000000), total * 1000000)
local pause = known[8] and tonumber(ARGV[8]) or every
local due = not known[7] and millis - tonumber(known[4] or 0) >= pause
if due then
  tick = math.max(tick + 1, millis)
  redis.call('HSET', bar, 'saying', 1, 'said', millis, 'tick', string.format('%.0f', tick))
end
redis.call('HSET', bar, 'sum', string.format('%.0f', sum), 'done', done, 'failed', failed)
redis.call('EXPIRE', bar, ARGV[7])
return {due and 1 or 0, string.format('%.0f', sum), string.format('%.0f', tick), done, failed}
""")

_remembered: dict[UUID, Job] = {}
_waiting: set[UUID] = set()


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
    words += [
        job.members_done,
        job.members_failed,
        PUBLISH_MILLISECONDS,
        BAR_SECONDS,
        SAYING_MILLISECONDS,
    ]
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
    bar = _bar(job.pk)
    with redis_errors("The end of a group was not looked for"):
        _, is_over = exchange([command("HDEL", bar, "saying"), command("HEXISTS", bar, "over")])
    if not is_over:
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


def note(parent: UUID, *, over: bool) -> None:
    """Note that a group has ended, or goes on after all: its bar is said no more, or again."""
    words = ("HSET", _bar(parent), "over", 1) if over else ("HDEL", _bar(parent), "over")
    try:
        with redis_errors("The end of a group was not noted"):
            exchange([command(*words), command("EXPIRE", _bar(parent), BAR_SECONDS)])
    except RedisUnavailable as error:
        logger.warning("%s", error)


def reached(job: Job) -> float | None:
    """Return how far a group was when its bar was last moved; None where Redis can't tell."""
    try:
        with redis_errors("How far a group is can't be read"):
            [total] = exchange([command("HGET", _bar(job.pk), "sum")])
    except RedisUnavailable:
        return None
    return None if total is None else min(int(total) / 1_000_000 / job.members_total, 1.0)


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


def remember(job: Job) -> None:
    """Keep a group's job, with which its next ticks are said."""
    while len(_remembered) >= MEMORY and job.pk not in _remembered:
        _remembered.pop(next(iter(_remembered)))
    _remembered[job.pk] = job


def forget(parent: UUID) -> None:
    """Drop what was kept of a group that has ended."""
    _remembered.pop(parent, None)


def _look_up(parent: UUID) -> Job | None:
    job = Job.objects.defer(*LARGE).filter(pk=parent).first()
    if job is not None:
        remember(job)
    return job
