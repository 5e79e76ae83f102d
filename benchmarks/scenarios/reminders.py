"""
Reminders: how long a sending to everyone takes, and what the worker needs for it.

A worker, PostgreSQL as it is set up out of the box (each commit on disk) and a Redis as the site
has it. No page is open: who is online costs the web processes something, and the sending nothing.
"""

import json
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench
from benchmarks.proc import children, cpu_seconds, peak_memory_bytes
from benchmarks.redis import Redis
from tests.support.postgres import PostgresCluster
from tests.support.processes import Process, environment
from tests.support.shell import Shell

TARGET_SECONDS = 60.0
TARGET_GROWTH = 100 * 2**20  # bytes of memory, beyond what an idle worker has
LIMIT_SECONDS = 600.0

SET_UP = """
from django.contrib.auth.models import User
from django.core.management import call_command
call_command("migrate", verbosity=0)
for start in range(0, {users}, 5000):
    names = range(start, min(start + 5000, {users}))
    User.objects.bulk_create(User(username=f"user-{{n}}") for n in names)
"""

SEND = """
import time
from notifications.reminders.models import Reminder
from notifications.reminders.sending import send_now
reminder = Reminder.objects.create(title="Backup", text={text!r}, everyone=True)
began = time.time()
send_now(reminder)
print(began, reminder.pk)
"""

LOOK = """
import json
from notifications.reminders.models import Reminder
reminder = Reminder.objects.get(pk={pk})
print(json.dumps([reminder.state, reminder.sent_at and reminder.sent_at.timestamp()]))
"""

COUNT = """
import json
from django.contrib.auth.models import User
from notifications import storage
from notifications.channels import user_channel
from notifications.reminders.models import Delivery
rows = Delivery.objects.filter(reminder={pk})
mine = dict(rows.values_list("user_id", "pk"))
told = again = 0
for user, pk in mine.items():
    ids = [json.loads(message.data)["id"] for message in storage.read(user_channel(user), 1).log
           if message.type == "reminder"]
    told += ids.count(pk) == 1
    again += ids.count(pk) > 1
print(json.dumps([rows.count(), len(mine), told, again]))
"""


def reminders(bench: Bench) -> None:
    """Send a short text, and the longest, to everyone; time it, and count who has what."""
    if not bench.only("carillon"):
        return
    users = bench.sizes.reminder_users
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="bench-reminders-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        redis = stack.enter_context(closing(Redis()))
        cluster = stack.enter_context(closing(PostgresCluster(durable=True)))
        env = environment(
            DJANGO_SETTINGS_MODULE="project.settings",
            VAR_DIR=str(directory),
            REDIS_URL=redis.url,
            DATABASE_URL=cluster.create_database("reminders"),
            SECRET_KEY="only for measuring",
        )
        shell = stack.enter_context(closing(Shell("shell", directory / "shell.log", env)))
        shell.run(SET_UP.format(users=users))
        command = [sys.executable, "-m", "celery", "-A", "project", "--quiet", "worker"]
        command += ["--pool=prefork", "--concurrency=1", "--without-gossip", "--without-mingle"]
        worker = Process("worker", command, directory / "worker.log", env)
        stack.callback(worker.stop)
        worker.wait_for_output(" ready.")
        for text, name in (("x" * 120, "short text"), ("ü" * 10_000, "20 KB of text")):
            _measure(bench, shell, worker, redis, name, text, users)
            if bench.sizes.reminder_users >= 50_000:
                users = users // 10  # of the long text Redis would need gigabytes
                shell.run(f"""
from django.contrib.auth.models import User
User.objects.filter(pk__gt={users}).update(is_active=False)
""")


def _measure(
    bench: Bench, shell: Shell, worker: Process, redis: Redis, name: str, text: str, users: int
) -> None:
    [pool] = children(worker.pid)
    before, cpu = peak_memory_bytes(pool), cpu_seconds(pool)
    redis_cpu = cpu_seconds(redis.pid)
    began, pk = shell.run(SEND.format(text=text)).split()
    ended = _wait(shell, pk)
    seconds = ended - float(began)
    cpu, redis_cpu = cpu_seconds(pool) - cpu, cpu_seconds(redis.pid) - redis_cpu
    peak = peak_memory_bytes(pool)
    rows, people, told, again = json.loads(shell.run(COUNT.format(pk=pk)))
    bench.row(
        "reminders",
        f"{users:,} people, {name}",
        {"carillon": f"{seconds:.1f} s"},
        target=f"≤ {TARGET_SECONDS:.0f} s",
        passed=seconds <= TARGET_SECONDS,
    )
    bench.row(
        "reminders",
        f"peak memory of the worker, {name}",
        {"carillon": f"{peak / 2**20:.0f} MiB, {(peak - before) / 2**20:+.0f}"},
        target=f"≤ +{TARGET_GROWTH / 2**20:.0f} MiB",
        passed=peak - before <= TARGET_GROWTH,
    )
    bench.row(
        "reminders",
        f"rows / people / told once / told again, {name}",
        {"carillon": f"{rows:,} / {people:,} / {told:,} / {again:,}"},
        target=f"{users:,} / {users:,} / {users:,} / 0",
        passed=(rows, people, told, again) == (users, users, users, 0),
    )
    bench.note(
        f"reminders, {name}: worker {cpu / seconds:.0%} of a core, "
        f"Redis {redis_cpu / seconds:.0%}, {redis.client().info('memory')['used_memory_human']}B"
    )


def _wait(shell: Shell, pk: str) -> float:
    deadline = time.monotonic() + LIMIT_SECONDS
    said: Any = None
    while time.monotonic() < deadline:
        said = json.loads(shell.run(LOOK.format(pk=pk)))
        if said[0] == "sent":
            return float(said[1])
        time.sleep(0.5)
    raise AssertionError(f"not sent after {LIMIT_SECONDS:.0f} s: {said}")
