"""Beat sends what is due: within two seconds, by itself or by a worker."""

import json
import sys

import pytest

from tests.support.processes import Process
from tests.support.site import Site
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


@pytest.fixture(scope="module")
def beating(make_site_of_module) -> Site:
    site: Site = make_site_of_module(webs=0, workers=1)
    command = [sys.executable, "-m", "celery", "-A", "project", "--quiet", "beat", "--pidfile="]
    beat = Process("beat", command, site.var_dir / "beat.log", site.env)
    site.workers.append(beat)
    return site


@pytest.mark.parametrize("rule", ["", "FREQ=DAILY"])
@pytest.mark.parametrize(("everyone", "people"), [(False, 1), (True, 1000)])
def test_what_is_due_is_sent_within_two_seconds(beating, everyone, people, rule):
    pk = int(beating.shell(SCHEDULE.format(everyone=everyone, rule=rule)))

    def sent() -> list[float]:
        late: list[float] = json.loads(beating.shell(LATE.format(pk=pk)))
        return late if len(late) >= people else []

    late = wait_until(sent, 30, lambda: beating.logs)
    assert min(late) >= 0
    assert max(late) < 2
