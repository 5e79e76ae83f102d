"""
What jobs leave in Redis beside messages: signs of life, and wishes to cancel.

    notifications:{jobs}:alive          sorted set: a job, by the second of its last sign of life
    notifications:{jobs}:sweep          hash: ``since``, ``last``: how long signs have been watched
    notifications:{jobs}:missing        set: jobs whose message was not found in the queue, once
    notifications:{jobs}:cancel:<id>    there: somebody wants the job to end
    notifications:{jobs}:kill:<id>      how often its worker was told to end it by force

All times are those of Redis's clock. Without Redis, nothing is known, and nothing is concluded.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple
from uuid import UUID

from ..conf import conf
from ..connections import exchange, redis_errors, run
from ..exceptions import RedisUnavailable
from ..scripts import Script, command
from .models import Job

CANCEL_SECONDS: Final = 7 * 24 * 60 * 60  # longer than a job runs
SIGNS_SECONDS: Final = 24 * 60 * 60

REPORT: Final = Script("""
local now = redis.call('TIME')[1]
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now, ARGV[i]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1])
return 1
""")

# A pause between two sweeps may have been one of Redis or of the whole site: no worker could have
# been heard in it. Then the watch begins anew.
LOOK: Final = Script("""
local now = tonumber(redis.call('TIME')[1])
local seen = redis.call('HMGET', KEYS[2], 'since', 'last')
local since = tonumber(seen[1] or now)
if not seen[2] or now - seen[2] > tonumber(ARGV[2]) then since = now end
redis.call('HSET', KEYS[2], 'since', since, 'last', now)
local alive = redis.call('ZRANGEBYSCORE', KEYS[1], now - ARGV[1], '+inf')
return {now - since, alive}
""")

MISSED_TWICE: Final = Script("""
local twice = {}
for i = 2, #ARGV do
  if redis.call('SISMEMBER', KEYS[1], ARGV[i]) == 1 then table.insert(twice, ARGV[i]) end
end
redis.call('DEL', KEYS[1])
for i = 2, #ARGV do redis.call('SADD', KEYS[1], ARGV[i]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return twice
""")


class Watch(NamedTuple):
    """What a sweep sees: for how many seconds signs have been watched, and whose there were."""

    seconds: int
    alive: set[UUID]


def report(ids: Iterable[str]) -> None:
    """Give a sign of life for these jobs. Raises ``RedisUnavailable``."""
    with redis_errors("No sign of life was given"):
        run(REPORT, [_name("alive")], [SIGNS_SECONDS, *ids])


def look() -> Watch:
    """Return what was heard in the last ``JOB_LOST_SECONDS``. Raises ``RedisUnavailable``."""
    pause = 2 * conf.job_sweep_seconds + 1
    with redis_errors("The signs of life can't be read"):
        seconds, alive = run(
            LOOK,
            [_name("alive"), _name("sweep")],
            [str(conf.job_lost_seconds), str(pause)],
        )
    return Watch(int(seconds), {UUID(_text(pk)) for pk in alive})


def missed_twice(ids: Iterable[UUID]) -> set[UUID]:
    """Note that these jobs were missed; return those that were the last time too."""
    words = [str(pk) for pk in ids]
    with redis_errors("Missing jobs can't be noted"):
        twice = run(
            MISSED_TWICE, [_name("missing")], [str(int(10 * conf.job_sweep_seconds)), *words]
        )
    return {UUID(_text(pk)) for pk in twice}


def ask_to_cancel(ids: Iterable[UUID]) -> None:
    """Leave word for the runs of these jobs. Raises ``RedisUnavailable``."""
    commands = [command("SET", _name(f"cancel:{pk}"), 1, "EX", CANCEL_SECONDS) for pk in ids]
    if commands:
        with redis_errors("The wish to cancel was not passed on"):
            exchange(commands)


def cancel_requested(pk: UUID | str) -> bool:
    """Whether somebody wants the job to end: one call to Redis, to the database without it."""
    try:
        with redis_errors("Wishes to cancel can't be read"):
            return bool(exchange([command("EXISTS", _name(f"cancel:{pk}"))])[0])
    except RedisUnavailable:
        return Job.objects.filter(pk=pk, cancel_requested__isnull=False).exists()


def count_kill(pk: UUID) -> int:
    """Count an attempt to end the job by force; return how many there were."""
    name = _name(f"kill:{pk}")
    with redis_errors("An attempt to end a job can't be counted"):
        return int(exchange([command("INCR", name), command("EXPIRE", name, SIGNS_SECONDS)])[0])


def _name(rest: str) -> str:
    return f"{conf.prefix}:{{jobs}}:{rest}"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
