"""A site that runs the tasks of this package, with workers of every kind, and beat."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.endings.tasks import marks
from tests.support.processes import Process
from tests.support.site import Databases, Site
from tests.support.waiting import wait_until

SETTINGS = "tests.support.endings.settings"

START = """
from celery import chain, chord, group
from django.contrib.auth.models import User
from notifications.jobs import start_group
from tests.support.endings.tasks import *
owner = User.objects.get(username="{username}")
print("job", {call}.pk)
"""

SHOW = """
import json
from notifications.jobs.models import Job
for job in Job.objects.filter(pk__in={pks!r}):
    fields = {{f.attname: getattr(job, f.attname) for f in job._meta.concrete_fields}}
    print("row", json.dumps(fields, default=str))
"""


class EndingsSite(Site):
    """A `Site` whose jobs belong to the account `user-1`; it has no worker until one is started."""

    def __init__(self, databases: Databases, engine: str = "sqlite", **env: str) -> None:
        super().__init__(databases, engine, webs=0, env={"DJANGO_SETTINGS_MODULE": SETTINGS, **env})
        self.owner = self.new_user()
        self.redis_clients: list[Any] = []

    def start_worker_with(self, *options: str) -> Process:
        """Start a worker with options of Celery's, e.g. its pool."""
        command = [sys.executable, "-m", "celery", "-A", "project", "--quiet", "worker"]
        command += ["--without-gossip", "--without-mingle", f"--hostname=w{time.time_ns()}@tests"]
        worker = self._spawn("worker", [*command, *options])
        self.workers.append(worker)
        worker.wait_for_output(" ready.")
        return worker

    def start_beat(self) -> Process:
        command = [sys.executable, "-m", "celery", "-A", "project", "--quiet", "beat", "--pidfile="]
        beat = self._spawn("beat", command)
        self.workers.append(beat)
        return beat

    def kill(self, worker: Process) -> None:
        """Kill a worker with all its children, as a machine that goes down does."""
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(5)

    def start(self, call: str) -> str:
        """Run a call that gives a job, e.g. `start_group(…)`; return its primary key."""
        output = self.shell(START.format(username=self.owner, call=call))
        return next(line[4:] for line in output.splitlines() if line.startswith("job "))

    def queue(self, call: str) -> str:
        """Queue a task, e.g. `"give", "args=[1]"`; return the primary key of its job."""
        name, _, rest = call.partition(" ")
        return self.start(f"{name}.apply_async(owner=owner, {rest}).job")

    def act(self, verb: str, pk: str) -> str:
        """Cancel or retry a job as its owner; return what came of it (a retry: the new job)."""
        code = (
            f"from notifications.jobs import {verb}\n"
            "from notifications.jobs.models import Job\n"
            f"job = Job.objects.get(pk={pk!r})\n"
            f"print('done', getattr(done := {verb}(job, by=job.owner), 'pk', done))"
        )
        output = self.shell(code)
        return next(line[5:] for line in output.splitlines() if line.startswith("done "))

    def row(self, pk: str) -> dict[str, Any]:
        [row] = self.rows([pk])
        return row

    def rows(self, pks: list[str]) -> list[dict[str, Any]]:
        output = self.shell(SHOW.format(pks=pks))
        return [json.loads(line[4:]) for line in output.splitlines() if line.startswith("row ")]

    def members(self, pk: str) -> list[dict[str, Any]]:
        """Return the members of a group in their order."""
        code = (
            "from notifications.jobs.models import Job\n"
            f"for m in Job.objects.filter(parent_id={pk!r}).order_by('place'): print('pk', m.pk)"
        )
        output = self.shell(code)
        pks = [line[3:] for line in output.splitlines() if line.startswith("pk ")]
        return sorted(self.rows(pks), key=lambda row: str(row["place"]))

    def wait_for(self, pk: str, *states: str, seconds: float = 20.0) -> dict[str, Any]:
        """
        Return the row as soon as it is in one of `states`, and the owner was told so.

        A process that is killed in between has said nothing, and a test would race with it.
        """

        def found() -> dict[str, Any] | None:
            row = self.row(pk)
            return row if row["state"] in states else None

        row = wait_until(found, seconds, lambda: f"{states}: {self.row(pk)}\n{self.logs}")
        assert row is not None
        if row["owner_id"] is not None and row["parent_id"] is None:
            state = row["state"]
            wait_until(lambda: state in self.states(pk), 5, lambda: f"{state} was not said")
        return row

    def said(self, pk: str) -> list[dict[str, Any]]:
        """Return what the owner was told of a job so far, in order, without its progress."""
        code = (
            "from notifications import storage\n"
            "from django.contrib.auth.models import User\n"
            f"owner = User.objects.get(username={self.owner!r})\n"
            "for m in storage.read(f'user-{owner.pk}', 1).log: print('said', m.data)"
        )
        lines = self.shell(code).splitlines()
        said = [json.loads(line[5:]) for line in lines if line.startswith("said ")]
        return [data for data in said if data["id"] == pk]

    def states(self, pk: str) -> list[str]:
        return [data["state"] for data in self.said(pk)]

    @property
    def marks(self) -> str:
        path: Path = marks(self.var_dir)
        return path.read_text() if path.exists() else ""
