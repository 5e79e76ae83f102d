"""What the run over reminders does in the site's own process: lay out, look, judge."""

import json
import random
import time
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from notifications import storage
from notifications.channels import user_channel
from notifications.reminders import recurrence, schedule
from notifications.reminders.models import Delivery, Occurrence, Preference, Reminder

ZONES = ("", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Auckland")
ALL_TO_COME = timedelta(hours=30)  # after which a local time has passed in every zone


def lay_out(count: int, large: int, seed: str, seconds: float) -> None:
    """
    Schedule ``count`` reminders that are due within ``seconds``, ``large`` of them for everyone.

    Of the others a quarter has 400 people, whom a beat itself tells for a while; a tenth is due in
    five zones at once, and a tenth is the newest of a rule of which days were missed.
    """
    choose = random.Random(seed)
    now = timezone.now()
    people = list(User.objects.filter(is_active=True).order_by("pk").values_list("pk", flat=True))
    Preference.objects.bulk_create(
        Preference(user_id=pk, time_zone=choose.choice(ZONES)) for pk in people[::3]
    )
    kinds = ["everyone"] * large
    kinds += choose.choices(["few", "many", "zones", "rule"], [55, 25, 10, 10], k=count - large)
    choose.shuffle(kinds)
    with transaction.atomic():
        for number, kind in enumerate(kinds):
            due = now + timedelta(seconds=choose.uniform(0, seconds))
            length = 400 if kind == "many" else choose.randint(1, 20)
            _schedule(f"{number} {kind}", kind, due, choose.sample(people, length))


def progress() -> None:
    """Print how many reminders have nothing left that is due, and how many deliveries there are."""
    soon = timezone.now() + timedelta(hours=1)
    pending = (Occurrence.State.DUE, Occurrence.State.SENDING)
    left = Occurrence.objects.filter(state__in=pending, due__lt=soon)
    stuck = [f"{row} {row.state} {row.claimed_until}" for row in left.select_related()[:3]]
    print(json.dumps([left.count(), Delivery.objects.count(), stuck]))


def wait_for_sending(by_job: bool, seconds: float) -> None:
    """Return as soon as something is being sent: by a worker, or by a beat itself."""
    deadline = time.monotonic() + seconds
    running = Occurrence.objects.filter(state=Occurrence.State.SENDING, run__isnull=False)
    running = running.filter(job__isnull=not by_job)
    while not running.exists() and time.monotonic() < deadline:
        time.sleep(0.001)


def judge() -> None:
    """Print what each person should have and does, and how often each was told."""
    everyone = set(User.objects.filter(is_active=True).values_list("pk", flat=True))
    expected: Counter[tuple[int, str, int]] = Counter()
    for reminder in Reminder.objects.prefetch_related("users"):
        people = everyone if reminder.everyone else {user.pk for user in reminder.users.all()}
        expected.update((reminder.pk, _newest(reminder), pk) for pk in people)
    rows = list(Delivery.objects.values_list("reminder", "occurrence", "user", "pk"))
    got = Counter(row[:3] for row in rows)
    told = Counter(
        (user, json.loads(message.data)["id"])
        for user in {row[2] for row in rows}
        for message in storage.read(user_channel(user), 1).log
        if message.type == "reminder"
    )
    delivered = {(user, pk) for _reminder, _occurrence, user, pk in rows}
    once = Reminder.objects.filter(rule="")
    print(
        json.dumps(
            {
                "expected": expected.total(),
                "delivered": len(rows),
                "missing": (expected - got).total(),
                "twice or wrong": (got - expected).total(),
                "never told": len(delivered - set(told)),
                "told of nothing": len(set(told) - delivered),
                "told again": told.total() - len(told),
                "not sent": once.exclude(state=Reminder.State.SENT).count(),
            }
        )
    )


def _schedule(title: str, kind: str, due: datetime, people: list[int]) -> None:
    reminder = Reminder(title=title, state=Reminder.State.SCHEDULED, everyone=kind == "everyone")
    reminder.zone = "" if kind == "zones" else "UTC"
    reminder.rule = "FREQ=DAILY" if kind == "rule" else ""
    at = due - ALL_TO_COME if kind == "zones" else due
    reminder.local_at = recurrence.to_text(at.replace(tzinfo=None))
    reminder.save()
    if kind != "everyone":
        reminder.users.set(people)
    schedule.plan(reminder)
    rows = Occurrence.objects.filter(reminder=reminder)
    if kind == "rule":
        # As though beat had been away since four days before.
        missed = due - timedelta(days=4)
        Reminder.objects.filter(pk=reminder.pk).update(
            local_at=recurrence.to_text(missed.replace(tzinfo=None))
        )
        local = recurrence.to_text(missed.replace(tzinfo=None))
        rows.delete()
        Occurrence.objects.create(reminder=reminder, local=local, zone="UTC", due=due)
    else:
        # Minutes are the finest that a person can say.
        rows.update(due=due)


def _newest(reminder: Any) -> str:
    """The one occurrence that each person should have."""
    if not reminder.rule:
        return str(reminder.local_at)
    newest = Occurrence.objects.filter(reminder=reminder, state=Occurrence.State.SENT)
    return str(newest.latest("local").local) if newest.exists() else "none"
