"""
Sending with a real worker, and several processes that send the same; on SQLite and PostgreSQL.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.support.shell import Shell
from tests.support.site import Site
from tests.support.streams import Stream
from tests.support.waiting import wait_until

CROWD = 700  # more than are told in place

MAKE_CROWD = """
from django.contrib.auth.models import User
User.objects.bulk_create(User(username=f"{name}-{{n}}") for n in range({count}))
"""

# Prints of how many each person has the reminder, and how often each was told of it.
JUDGE = """
import json
from collections import Counter
from django.contrib.auth.models import User
from notifications import storage
from notifications.channels import user_channel
from notifications.reminders.models import Delivery, Reminder
reminder = Reminder.objects.get(pk={pk})
has = Counter(Delivery.objects.filter(reminder=reminder).values_list("user_id", flat=True))
ids = set(Delivery.objects.filter(reminder=reminder).values_list("pk", flat=True))
told = Counter(
    user
    for user in has
    for message in storage.read(user_channel(user), 1).log
    if message.type == "reminder" and json.loads(message.data)["id"] in ids
)
print(json.dumps([
    reminder.state,
    len(has), sorted(set(has.values())),
    len(told), sorted(set(told.values())),
]))
"""

SEND_BY_JOB = """
from django.contrib.auth.models import User
from notifications.reminders import remind
users = User.objects.filter(username__startswith="{name}-")
reminder = remind(users, "Backup", by=User.objects.get(username="{by}"))
print(reminder.pk, reminder.job)
"""

MAKE_OCCURRENCE = """
from django.contrib.auth.models import User
from django.utils import timezone
from notifications.reminders.models import Occurrence, Reminder
reminder = Reminder.objects.create(title="Race", state="sending")
reminder.users.set(User.objects.filter(username__startswith="{name}-"))
Occurrence.objects.create(reminder=reminder, due=timezone.now(), state="sending")
print(reminder.pk)
"""

# Small batches, so that the processes meet often.
SEND_IN_SMALL_BATCHES = """
import time
from notifications.reminders import delivery, sending
from notifications.reminders.models import Occurrence
delivery.batch_length = lambda reminder: 7
time.sleep(max(0, {at} - time.time()))
occurrence = Occurrence.objects.select_related("reminder").get(reminder={pk})
print(sending.send(occurrence, sending.addressed(occurrence)))
"""

# Killed as a machine that goes down would: the first batch is committed, and none of it is told.
DIE_BEFORE_TELLING = """
import os, signal
from notifications import publishing
from notifications.reminders import delivery, sending
delivery.batch_length = lambda reminder: 60
publishing._publish_committed = lambda items: os.kill(os.getpid(), signal.SIGKILL)
sending.start({pk}, "", "")
"""

SEND = """
from notifications.reminders import sending
from notifications.reminders.models import Delivery, Occurrence
print(Delivery.objects.filter(reminder={pk}).count())
sending.start({pk}, "", "")
"""

REMIND_WITH_A_KEY = """
import time
from django.contrib.auth.models import User
from django.db import transaction
from notifications.reminders import remind
user = User.objects.get(username="{user}")
time.sleep(max(0, {at} - time.time()))
with transaction.atomic():
    reminder = remind(user, "Once", idempotency_key="{user}")
    time.sleep(0.2)  # the key is not committed yet when the others come
print(reminder.pk)
"""

DELIVER_WHILE_ANOTHER_READS = """
import json
from django.contrib.auth.models import User
from notifications.reminders import mark_read, remind
user = User.objects.get(username="{user}")
seen = []
for n in range(20):
    remind(user, f"Note {{n}}")
    seen += mark_read(user)
print(json.dumps(seen))
"""

# Of two who lock the same rows in different orders PostgreSQL ends one with an error. The first
# takes what beat takes first, lets the second come, and takes what beat takes then.
MAKE_DUE_AND_UNREAD = """
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from notifications.reminders import remind
user = User.objects.get(username="{user}")
remind([user], "First")
remind([user], "Second")
print(remind([user], "Due", at=timezone.now() + timedelta(hours=1)).pk)
"""

LOCK_AS_BEAT = """
import time
from django.db import transaction
from notifications.reminders.models import Delivery, Occurrence, Reminder
deliveries = Delivery.objects.filter(user__username="{user}")
steps = {{
    "claims": [Occurrence.objects.filter(reminder={pk}), Reminder.objects.filter(pk={pk})],
    "wakes": [deliveries.filter(reminder__title=title) for title in ("First", "Second")],
}}
first, second = steps["{beat}"]
with transaction.atomic():
    list(first.order_by("pk").select_for_update(of=("self",)))
    time.sleep(max(0, {at} + 0.5 - time.time()))
    list(second.order_by("pk").select_for_update(of=("self",)))
"""

MEANWHILE = """
import time
from django.contrib.auth.models import User
from notifications.reminders import mark_read, schedule
from notifications.reminders.models import Reminder
reminder, user = Reminder.objects.get(pk={pk}), User.objects.get(username="{user}")
time.sleep(max(0, {at} + 0.2 - time.time()))
{change}
"""


MAKE_TWO_ZONES = """
from uuid import uuid4
from django.utils import timezone
from notifications.reminders.models import Occurrence, Reminder
reminder = Reminder.objects.create(title="Zones", state="sending", local_at="2026-03-05T09:00")
for zone in ("Asia/Tokyo", "UTC"):
    Occurrence.objects.create(
        reminder=reminder, local=reminder.local_at, zone=zone, due=timezone.now(),
        state="sending", run=uuid4(),
    )
print(reminder.pk)
"""

# It is not seen by the other until it is committed.
FINISH = """
import time
from django.db import transaction
from notifications.reminders import claims
from notifications.reminders.models import Occurrence
occurrence = Occurrence.objects.get(reminder={pk}, zone="{zone}")
time.sleep(max(0, {at} - time.time()))
with transaction.atomic():
    claims.finish(occurrence, occurrence.run)
    time.sleep(0.3)
"""


@pytest.fixture(scope="module")
def shells(site: Site) -> Iterator[list[Shell]]:
    """Three processes of the site, of which each may send."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                closing(Shell(f"sender-{n}", site.var_dir / f"sender-{n}.log", site.env))
            )
            for n in range(3)
        ]


def together(shells: list[Shell], code: str) -> list[str]:
    with ThreadPoolExecutor(len(shells)) as pool:
        return [said.strip() for said in pool.map(lambda shell: shell.run(code), shells)]


def judged(site: Site, pk: int) -> list[Any]:
    result: list[Any] = json.loads(site.shell(JUDGE.format(pk=pk)))
    return result


async def test_a_large_audience_is_sent_to_by_a_job_that_its_owner_watches(site: Site) -> None:
    by = site.new_user()
    name = f"crowd-{by}"
    await asyncio.to_thread(site.shell, MAKE_CROWD.format(name=name, count=CROWD))
    async with Stream(f"{site.base_urls[-1]}/events/", site.login(by).cookie_header) as stream:
        await stream.wait_for_type("stream-open")
        said = await asyncio.to_thread(site.shell, SEND_BY_JOB.format(name=name, by=by))
        pk, job = said.split()
        await stream.wait_for(
            lambda events: any(
                event.type == "job" and event.json["state"] == "succeeded" for event in events
            )
        )
        last = stream.of_type("job")[-1].json
    assert last["id"] == job
    assert last["title"] == "Send “Backup”"
    assert (last["current"], last["total"], last["unit"]) == (CROWD, CROWD, "people")
    assert await asyncio.to_thread(judged, site, int(pk)) == ["sent", CROWD, [1], CROWD, [1]]


def test_processes_that_send_the_same_at_once_send_it_once(site: Site, shells: list[Shell]) -> None:
    name = f"race-{site.new_user()}"
    site.shell(MAKE_CROWD.format(name=name, count=100))
    pk = int(site.shell(MAKE_OCCURRENCE.format(name=name)))
    code = SEND_IN_SMALL_BATCHES.format(pk=pk, at=time.time() + 0.5)
    sent = [int(count) for count in together(shells, code)]
    # Whoever came last has ended it; what each counts is what it has made and told.
    assert sum(sent) <= 100
    state, people, rows, told, times = judged(site, pk)
    assert (state, people, rows, told) == ("sent", 100, [1], 100)
    # One that takes over repeats what may not have been told, under the same id.
    assert set(times) <= {1, 2, 3}


def test_who_was_killed_between_commit_and_message_is_made_up_for(site: Site) -> None:
    name = f"untold-{site.new_user()}"
    site.shell(MAKE_CROWD.format(name=name, count=100))
    pk = int(site.shell(MAKE_OCCURRENCE.format(name=name)))
    victim = Shell("victim", site.var_dir / f"{name}.log", site.env)
    with closing(victim), pytest.raises((AssertionError, OSError)):
        victim.run(DIE_BEFORE_TELLING.format(pk=pk))
    assert judged(site, pk)[1:] == [60, [1], 0, []]
    assert int(site.shell(SEND.format(pk=pk))) == 60
    assert judged(site, pk) == ["sent", 100, [1], 100, [1]]


def test_a_key_that_processes_race_for_makes_one_reminder(site: Site, shells: list[Shell]) -> None:
    code = REMIND_WITH_A_KEY.format(user=site.new_user(), at=time.time() + 0.5)
    pks = together(shells, code)
    assert len(set(pks)) == 1
    wait_until(lambda: judged(site, int(pks[0])) == ["sent", 1, [1], 1, [1]], 10)


def test_what_arrives_while_all_is_marked_read_is_read_once(
    site: Site, shells: list[Shell]
) -> None:
    code = DELIVER_WHILE_ANOTHER_READS.format(user=site.new_user())
    seen = [pk for said in together(shells, code) for pk in json.loads(said)]
    assert len(seen) == len(set(seen)) == 60


@pytest.mark.parametrize(
    ("beat", "change"), [("claims", "schedule.cancel(reminder)"), ("wakes", "mark_read(user)")]
)
def test_who_changes_what_beat_is_at_waits_for_it_and_beat_for_nobody(
    site: Site, shells: list[Shell], beat: str, change: str
) -> None:
    user = site.new_user()
    pk = int(site.shell(MAKE_DUE_AND_UNREAD.format(user=user)))
    at = time.time()
    with ThreadPoolExecutor(2) as pool:
        theirs = LOCK_AS_BEAT.format(user=user, pk=pk, beat=beat, at=at)
        mine = MEANWHILE.format(user=user, pk=pk, change=change, at=at)
        both = [pool.submit(shells[n].run, code) for n, code in enumerate((theirs, mine))]
        for done in both:
            done.result()  # raises what failed


def test_of_two_zones_that_end_at_once_the_later_one_ends_the_reminder(
    site: Site, shells: list[Shell]
) -> None:
    pk = int(site.shell(MAKE_TWO_ZONES))
    codes = [
        FINISH.format(pk=pk, zone=zone, at=time.time() + 0.3) for zone in ("Asia/Tokyo", "UTC")
    ]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda shell, code: shell.run(code), shells, codes))
    assert judged(site, pk)[0] == "sent"
