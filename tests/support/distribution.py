"""In which order, and beside what, the tests run when several processes divide them.

A group of tests runs in one process, one after the other, because they share a site or a browser,
or each takes the whole machine. Groups are handed out in `ORDER`.
"""

import re
from typing import Any

from xdist.scheduler import LoadScopeScheduling

# What takes longest comes first, so that no process is busy long after the others. The history runs
# mostly wait: they are one group, so that others compute meanwhile.
ORDER = (
    r"faults/test_history\.py",
    r"browser-a",
    r"browser-b",
    r"faults/test_drain\.py",
    r"site-postgresql",
    r"faults/test_redis_away\.py",
    r"site-sqlite",
    r"faults/test_sabotage\.py",
    r"integration/test_up\.py",
    r"faults/test_slow_readers\.py",
    r"unit/test_analyse\.py",
    r"integration/",
    r"faults/",
    r"unit/test_subscription\.py",
    r"",
)
# Two browsers share the tests of pages, which are many.
BROWSER_A = ("test_live_job.py", "test_reminders.py", "test_connection.py")


def group_of(nodeid: str) -> str:
    """Return the name of the group that a test belongs to: of its own, mostly."""
    nodeid = nodeid.removeprefix("tests/")
    path, _, name = nodeid.partition("::")
    kind, _, file = path.partition("/")
    if kind == "browser":
        return "browser-a" if file in BROWSER_A else "browser-b"
    if file in ("test_history.py", "test_drain.py", "test_redis_away.py"):
        return path
    if kind == "integration":
        if engine := re.search(r"\[(sqlite|postgresql)\b", name):  # of the fixture `site`
            return f"site-{engine[1]}"
        if name.startswith("Test"):  # a class has a site of its own
            return f"{path}::{name.partition('::')[0]}"
    return nodeid


def place_of(nodeid: str) -> int:
    """Return where in the order a test comes."""
    group = group_of(nodeid)
    return next(n for n, pattern in enumerate(ORDER) if re.match(pattern, group))


class Scheduling(LoadScopeScheduling):
    """Hands out the groups in the order in which they were collected.

    xdist's own `--dist=loadgroup` with marks does nothing under pytest 9: it writes the group into
    a private attribute of the test's id that is gone.
    """

    def __init__(self, config: Any, log: Any = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
