"""A run over reminders: beats and workers are killed at random, and each person has each once."""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from tests.support.processes import Process
from tests.support.site import Databases, Site

# Who is dead is missed within seconds.
SETTINGS = {
    "NOTIFICATIONS_REMINDER_CLAIM_SECONDS": "2",
    "NOTIFICATIONS_JOB_HEARTBEAT_SECONDS": "1",
    "NOTIFICATIONS_JOB_SWEEP_SECONDS": "1",
    "NOTIFICATIONS_JOB_LOST_SECONDS": "4",
    "NOTIFICATIONS_LOG_LENGTH": "100000",
}
FREEZE_SECONDS = 3.0  # longer than a claim: who thaws has lost what it was at
SETTLE_SECONDS = 120.0

ROWS = "from tests.support import reminders_rows as rows\n"


@dataclass(frozen=True, slots=True)
class Size:
    reminders: int = 1000
    large: int = 60  # for everyone, about a thousand people: a job of a worker
    beats: int = 3
    workers: int = 4
    pause_seconds: float = 2.0  # between faults, on average


@dataclass(slots=True)
class Report:
    seed: str
    seconds: float
    size: Size
    counts: dict[str, int]
    faults: Counter[str] = field(default_factory=Counter)
    unfinished: str = ""

    @property
    def good(self) -> bool:
        wrong = ("missing", "twice or wrong", "never told", "told of nothing", "not sent")
        whole = self.counts["expected"] > self.size.reminders
        return whole and not self.unfinished and not any(self.counts[name] for name in wrong)

    def __str__(self) -> str:
        size = self.size
        lines = [
            f"seed {self.seed}: {size.reminders} reminders ({size.large} for everyone), "
            f"{size.beats} beats, {size.workers} workers, {self.seconds:.0f} s",
            "  faults: " + ", ".join(f"{name} {n}" for name, n in sorted(self.faults.items())),
            "  " + ", ".join(f"{name} {n}" for name, n in self.counts.items()),
        ]
        return "\n".join([*lines, *([f"  unfinished: {self.unfinished}"] * bool(self.unfinished))])


class RemindersRun:
    """``with RemindersRun(…) as run: report = run.run(seconds)``."""

    def __init__(
        self, databases: Databases, engine: str, seed: str, size: Size, **env: str
    ) -> None:
        self.seed = seed
        self.size = size
        self.faults: Counter[str] = Counter()
        self._choose = random.Random(seed)
        self._number = 0
        self.site = Site(databases, engine, webs=0, env={**SETTINGS, **env})
        self.processes: dict[str, Process] = {}

    def __enter__(self) -> "RemindersRun":
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self.processes.values():
            self._signal(process, signal.SIGKILL)
            process.stop(signal.SIGKILL)
        self.site.close()

    def run(self, seconds: float) -> Report:
        began = time.monotonic()
        size = self.size
        # The last are due while there is still something to break.
        arguments = f"{size.reminders}, {size.large}, {self.seed!r}, {0.8 * seconds}"
        self.site.shell(ROWS + f"rows.lay_out({arguments})")
        names = [f"beat-{n}" for n in range(size.beats)]
        names += [f"worker-{n}" for n in range(size.workers)]
        for name in names:
            self._start(name)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(self._choose.expovariate(1 / size.pause_seconds), seconds / 4))
            self._break(self._choose.choice(names))
        for name in names:
            self._signal(self.processes[name], signal.SIGCONT)
            if self.processes[name].returncode is not None:
                self._start(name)
        unfinished = self._settle()
        counts = json.loads(self.site.shell(ROWS + "rows.judge()"))
        return Report(self.seed, time.monotonic() - began, size, counts, self.faults, unfinished)

    def _break(self, name: str) -> None:
        process = self.processes[name]
        kind = name.partition("-")[0]
        fault = self._choose.choices(["killed", "stopped", "frozen"], [6, 1, 1])[0]
        self.faults[f"{kind}s {fault}"] += 1
        if fault == "frozen":
            self._signal(process, signal.SIGSTOP)
            time.sleep(FREEZE_SECONDS)
            self._signal(process, signal.SIGCONT)
            return
        if fault == "killed":
            # In the midst of it, where there is something to be in the midst of.
            self.site.shell(ROWS + f"rows.wait_for_sending({kind == 'worker'}, 0.5)")
            self._signal(process, signal.SIGKILL)
            process.wait(10)
        else:
            process.stop(signal.SIGTERM)
        self._start(name)

    def _signal(self, process: Process, sig: signal.Signals) -> None:
        """To the process and its children, as a machine that goes down does."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sig)

    def _start(self, name: str) -> None:
        self._number += 1
        celery = [sys.executable, "-m", "celery", "-A", "project", "--quiet"]
        if name.startswith("beat"):
            schedule = self.site.var_dir / f"{name}.schedule"
            command = [*celery, "beat", "--pidfile=", f"--schedule={schedule}"]
        else:
            command = [*celery, "worker", "--pool=prefork", "--concurrency=1"]
            command += ["--without-gossip", "--without-mingle"]
            command += [f"--hostname={name}-{self._number}@tests"]
        log = self.site.var_dir / f"{name}.log"
        self.processes[name] = Process(name, command, log, self.site.env)

    def _settle(self) -> str:
        """Wait until nothing is due any more; return what still is when time is over."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            left, _delivered, stuck = json.loads(self.site.shell(ROWS + "rows.progress()"))
            if not left:
                return ""
            if time.monotonic() > deadline:
                return f"{left} occurrences, like {stuck}"
            time.sleep(0.2)


def run(databases: Databases, engine: str, seed: str, seconds: float, size: Size) -> Report:
    with RemindersRun(databases, engine, seed, size) as reminders:
        return reminders.run(seconds)
