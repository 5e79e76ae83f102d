"""Beat sends what is due: within two seconds, by itself or by a worker."""

import json
import signal
import sys

import pytest

from tests.support.processes import Process
from tests.support.site import ACCOUNTS, Site
from tests.support.waiting import wait_until

SCHEDULE = """
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from notifications.reminders import recurrence, schedule
from notifications.reminders.models import Reminder
due = timezone.now() + timedelta(seconds=1)
reminder = Reminder.objects.create(
    title="Tea", state="scheduled", zone="UTC", everyone={everyone}, rule={rule!r},
    local_at=recurrence.to_text(due.replace(tzinfo=None) + timedelta(minutes=1)),
)
reminder.users.add(User.objects.get(username="user-1"))
schedule.plan(reminder)
reminder.occurrences.update(due=due)  # minutes are the finest that a person can say
print(reminder.pk)
"""

LATE = """
import json
from notifications.reminders.models import Delivery, Occurrence
due = Occurrence.objects.filter(reminder={pk}).earliest("due").due
made = Delivery.objects.filter(reminder={pk}).values_list("created", flat=True)
print(json.dumps([(moment - due).total_seconds() for moment in made]))
"""


TOGETHER = """
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from notifications.reminders import recurrence, schedule
from notifications.reminders.models import Occurrence, Reminder
due = timezone.now() + timedelta(seconds=1)
pks = []
for title in ["Large"] * 3 + ["Small"]:
    reminder = Reminder.objects.create(
        title=title, state="scheduled", zone="UTC", everyone=title == "Large",
        local_at=recurrence.to_text(due.replace(tzinfo=None) + timedelta(minutes=1)),
    )
    reminder.users.add(User.objects.get(username="user-1"))
    schedule.plan(reminder)
    pks.append(reminder.pk)
Occurrence.objects.filter(reminder__in=pks).update(due=due)
print(*pks)
"""


@pytest.fixture(scope="module")
def beating(make_site_of_module) -> Site:
    site: Site = make_site_of_module(webs=0, workers=1)
    command = [sys.executable, "-m", "celery", "-A", "project", "--quiet", "beat", "--pidfile="]
    beat = Process("beat", command, site.var_dir / "beat.log", site.env)
    site.workers.append(beat)
    return site


@pytest.mark.parametrize("rule", ["", "FREQ=DAILY;COUNT=9"])
@pytest.mark.parametrize(("everyone", "people"), [(False, 1), (True, 1000)])
def test_what_is_due_is_sent_within_two_seconds(beating, everyone, people, rule):
    pk = int(beating.shell(SCHEDULE.format(everyone=everyone, rule=rule)))

    def sent() -> list[float]:
        late: list[float] = json.loads(beating.shell(LATE.format(pk=pk)))
        return late if len(late) >= people else []

    late = wait_until(sent, 30, lambda: beating.logs)
    assert min(late) >= 0
    assert max(late) < 2


def test_large_ones_that_are_due_at_once_are_jobs_and_hold_up_no_small_one(beating):
    """Beat only queues them, so a small one does not wait until a worker has sent them."""
    worker = beating.workers[0]
    worker.send_signal(signal.SIGSTOP)
    try:
        *large, small = map(int, beating.shell(TOGETHER).split())
        late = wait_until(
            lambda: json.loads(beating.shell(LATE.format(pk=small))), 30, lambda: beating.logs
        )
        assert [beating.shell(LATE.format(pk=pk)).strip() for pk in large] == ["[]"] * 3
    finally:
        worker.send_signal(signal.SIGCONT)
    assert 0 <= max(late) < 2
    for pk in large:
        wait_until(
            lambda pk=pk: len(json.loads(beating.shell(LATE.format(pk=pk)))) >= ACCOUNTS,
            60,
            lambda: beating.logs,
        )
