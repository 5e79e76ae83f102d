"""The bar of a group: one for all members, that moves with each and never back."""

import json
import time
import uuid

import celery
import pytest
from django.contrib.auth.models import User

from notifications import storage
from notifications.channels import user_channel
from notifications.jobs import TrackedTask, group_bar, lifecycle, start_group
from notifications.jobs import members as steps
from notifications.jobs.middleware import CurrentUser
from notifications.jobs.models import Job, State
from project.celery import app

pytestmark = pytest.mark.django_db(transaction=True)


@celery.shared_task(base=TrackedTask)
def shrug(*args: object) -> None:
    pass


@pytest.fixture
def owner(live_redis) -> User:
    return User.objects.create(username="somebody")


@pytest.fixture
def eager():
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def group(owner) -> Job:
    """A group of four in two steps: a chord of three parts and a sum."""
    parent = Job.objects.create(owner=owner, title="group", task="t", members_total=4)
    places = ["c00000.g00000", "c00000.g00001", "c00000.g00002", "c00001"]
    for place in places:
        Job.objects.create(owner=owner, title=place, task="t", parent=parent, place=place)
    return parent


@pytest.fixture
def members(group) -> list[uuid.UUID]:
    return list(group.members.order_by("place").values_list("pk", flat=True))


@pytest.fixture
def at_once(monkeypatch) -> None:
    """The bar is said with each tick."""
    monkeypatch.setattr(group_bar, "PUBLISH_MILLISECONDS", 0)


def bar(owner) -> dict:
    [value] = storage.latest_values(user_channel(owner)).values()
    return json.loads(value.data)


def test_the_bar_is_the_mean_of_all_members_and_never_goes_back(group, members, owner, at_once):
    lifecycle.start(members[0])
    seen = []
    for member, fraction in [(0, 0.4), (1, 0.4), (0, 0.2), (1, 0.8), (1, 2.0), (0, -1)]:
        group_bar.advance(group.pk, members[member], fraction)
        seen.append(bar(owner)["fraction"])
    assert seen == pytest.approx([0.1, 0.2, 0.2, 0.3, 0.35, 0.35])


def test_a_tick_is_said_at_most_ten_times_a_second_and_each_is_newer(group, members, owner):
    lifecycle.start(members[0])
    ticks = set()
    end = time.monotonic() + 0.55
    calls = 0
    while time.monotonic() < end:
        calls += 1
        group_bar.advance(group.pk, members[0], calls / 100_000)
        ticks.add(bar(owner)["tick"])
    assert 3 <= len(ticks) <= 7 < calls


def test_what_was_held_back_is_said_when_a_member_has_ended(group, members, owner):
    lifecycle.start(members[0])
    group_bar.advance(group.pk, members[0], 0.1)
    group_bar.advance(group.pk, members[0], 1.0)
    assert bar(owner)["fraction"] == pytest.approx(0.025)
    end = time.monotonic() + 5
    while bar(owner)["fraction"] < 0.25 and time.monotonic() < end:
        time.sleep(0.02)
    assert bar(owner)["fraction"] == pytest.approx(0.25)


def test_a_redis_that_lost_everything_takes_the_bar_back_to_no_less_than_what_has_ended(
    group, members, owner, at_once, redis_client
):
    for member in members[:2]:
        lifecycle.start(member)
        lifecycle.succeed(member)
    before = bar(owner)["tick"]
    redis_client.flushall()
    group_bar.advance(group.pk, members[2], 0.4)
    assert bar(owner)["fraction"] == pytest.approx(0.5)
    assert bar(owner)["tick"] > before


def test_a_redis_that_is_away_stops_no_member(group, members, live_redis, caplog):
    lifecycle.start(members[0])
    live_redis.kill()
    group_bar.advance(group.pk, members[0], 0.5)
    assert "stands still" in caplog.text
    assert lifecycle.succeed(members[0]).state == State.SUCCEEDED


def test_a_redis_that_goes_away_within_a_tick_stops_no_member(
    group, members, live_redis, caplog, monkeypatch
):
    def publish_and_go(*args, **kwargs):
        publish(*args, **kwargs)
        live_redis.kill()

    publish = group_bar.publish
    monkeypatch.setattr(group_bar, "publish", publish_and_go)
    lifecycle.start(members[0])
    group_bar.advance(group.pk, members[0], 0.5)
    assert "stands still" in caplog.text
    assert lifecycle.succeed(members[0]).state == State.SUCCEEDED


def test_a_bar_does_not_outlive_its_group(group, members, owner, at_once):
    remembered = None
    for member in members:
        lifecycle.start(member)
        remembered = group_bar._remembered[group.pk]
        lifecycle.succeed(member, 7)
    assert storage.latest_values(user_channel(owner)) == {}
    # As another process would that has not heard of the end.
    group_bar.remember(remembered)
    group_bar.advance(group.pk, members[0], 1.0)
    group_bar._say_bar(remembered)
    assert storage.latest_values(user_channel(owner)) == {}
    group.refresh_from_db()
    assert (group.state, group.result, group.fraction) == ("succeeded", 7, 1)


def test_a_part_that_failed_takes_along_what_follows_it_alone(group, members):
    lifecycle.start(members[1])
    lifecycle.fail(members[1], "x")
    states = list(group.members.order_by("place").values_list("state", flat=True))
    assert states == ["queued", "failed", "queued", "cancelled"]
    group.refresh_from_db()
    assert (group.state, group.members_failed) == (State.RUNNING, 2)


def test_a_lost_member_that_is_found_is_counted_back(group, members):
    Job.objects.filter(pk=members[3]).delete()
    Job.objects.filter(pk=group.pk).update(members_total=3)
    for member in members[:2]:
        lifecycle.start(member)
        lifecycle.succeed(member)
    lifecycle.start(members[2])
    lifecycle.lose(members[2], "x")
    group.refresh_from_db()
    assert (group.state, group.members_failed, group.error) == ("lost", 1, "1 part was lost.")
    lifecycle.find(members[2])
    group.refresh_from_db()
    assert (group.state, group.members_failed, group.error) == ("running", 0, "")
    lifecycle.succeed(members[2])
    group.refresh_from_db()
    assert (group.state, group.members_done) == ("succeeded", 3)


@pytest.mark.parametrize(
    ("ended", "following"),
    [
        ("c00000", ["c00001", "c00002.g00000", "c00002.g00001"]),
        ("c00002.g00000", []),
        ("g00000.c00000", ["g00000.c00001"]),
        ("c00000.g00001.c00000", ["c00000.g00001.c00001", "c00001"]),
        ("c00001", []),
    ],
)
def test_what_follows_in_a_canvas(owner, ended, following):
    parent = Job.objects.create(owner=owner, title="group", task="t", members_total=9)
    branch = {"g": ["g00001.c00000", "g00001.c00001"], "c": []}[ended[0]]
    places = {ended, *following, *branch}
    for place in places:
        Job.objects.create(title="m", task="t", parent=parent, place=place)
    member = Job.objects.get(parent=parent, place=ended)
    found = steps._followers(member).values_list("place", flat=True)
    assert sorted(found) == following


def test_a_group_that_names_no_owner_is_that_of_the_request(owner, rf, eager):
    request = rf.post("/")
    request.user = owner
    canvas = celery.group(shrug.s(), shrug.s())
    own = CurrentUser(lambda request: start_group(canvas))(request)
    nobodys = CurrentUser(lambda request: start_group(canvas, owner=None))(request)
    assert (own.owner_id, nobodys.owner_id) == (owner.pk, None)
    assert {member.owner_id for member in own.members.all()} == {owner.pk}


def test_a_canvas_may_be_started_twice_and_have_the_same_task_twice(owner, eager):
    part = shrug.s()
    canvas = celery.chord(celery.group([part, part, celery.chain(part, part)]), shrug.si())
    jobs = [start_group(canvas, owner=owner) for _ in range(2)]
    assert [(job.members_total, job.members.count()) for job in jobs] == [(5, 5)] * 2
    for job in jobs:
        job.refresh_from_db()
        assert (job.state, job.members_done) == (State.SUCCEEDED, 5)


def test_a_process_that_is_slow_to_say_the_bar_is_waited_for(
    group, members, owner, at_once, monkeypatch
):
    lifecycle.start(members[0])
    slow_publish = group_bar.publish

    def publish_slowly(*args, **kwargs):
        # Meanwhile another process moves the bar; it must not be overwritten by the older one.
        monkeypatch.setattr(group_bar, "publish", slow_publish)
        group_bar.advance(group.pk, members[0], 0.8)
        slow_publish(*args, **kwargs)

    monkeypatch.setattr(group_bar, "publish", publish_slowly)
    group_bar.advance(group.pk, members[0], 0.4)
    assert bar(owner)["fraction"] == pytest.approx(0.1)  # said by the first; the second was silent
    group_bar.advance(group.pk, members[0], 0.8)
    assert bar(owner)["fraction"] == pytest.approx(0.2)


def test_a_process_that_died_with_the_word_does_not_keep_it(
    group, members, owner, at_once, monkeypatch
):
    lifecycle.start(members[0])
    with monkeypatch.context() as broken, pytest.raises(SystemExit):
        broken.setattr(group_bar, "publish", lambda *args, **kwargs: exit())
        group_bar.advance(group.pk, members[0], 0.4)
    monkeypatch.setattr(group_bar, "SAYING_MILLISECONDS", 100)
    end = time.monotonic() + 5
    while not storage.latest_values(user_channel(owner)) and time.monotonic() < end:
        group_bar.advance(group.pk, members[0], 0.4)
    assert bar(owner)["fraction"] == pytest.approx(0.1)
