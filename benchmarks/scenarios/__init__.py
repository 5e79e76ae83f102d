"""The scenarios, in the order of the table; each is a function that takes a ``Bench``."""

from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.scenarios.capacity import client, idle, many
from benchmarks.scenarios.delivery import burst, flood, single, steady
from benchmarks.scenarios.publishing import publish
from benchmarks.scenarios.reminders import reminders
from benchmarks.scenarios.replay import replay
from benchmarks.scenarios.tracking import tracking

SCENARIOS: dict[str, Callable[[Bench], None]] = {
    "client": client,
    "burst": burst,
    "steady": steady,
    "flood": flood,
    "single": single,
    "idle": idle,
    "many": many,
    "publish": publish,
    "tracking": tracking,
    "reminders": reminders,
    "replay": replay,
}
