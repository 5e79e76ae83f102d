"""Workers that die, stop or lose messages; and workers of every pool."""

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.endings.site import EndingsSite
from tests.support.waiting import wait_until

# With the settings of the tests: 5 s of silence, a sweep each second, and a slow machine.
NOTICED_SECONDS = 20.0

RESTORE = """
from celery import current_app
with current_app.connection_for_write() as connection:
    channel = connection.default_channel
    with channel.conn_or_acquire() as client:
        for tag in client.zrange(channel.unacked_index_key, 0, -1):
            channel.qos.restore_by_tag(tag.decode(), client)
"""

PROGRESS = """
from notifications import storage
from django.contrib.auth.models import User
owner = User.objects.get(username={owner!r})
value = storage.latest_values(f"user-{{owner.pk}}").get("job-{pk}")
print("progress", value.data if value else "{{}}")
"""


def progress(site: EndingsSite, pk: str) -> dict[str, Any]:
    """Return the latest value that a running job has published."""
    lines = site.shell(PROGRESS.format(owner=site.owner, pk=pk)).splitlines()
    found: dict[str, Any] = json.loads(
        next(line[9:] for line in lines if line.startswith("progress "))
    )
    return found


@pytest.fixture(scope="module")
def site(databases: Any) -> Iterator[EndingsSite]:
    site = EndingsSite(databases["sqlite"])
    try:
        site.start_beat()
        yield site
    finally:
        site.close()


def test_a_job_whose_worker_is_killed_is_lost_and_runs_again_when_it_is_delivered_again(
    site: EndingsSite,
) -> None:
    worker = site.start_worker_with("--pool=prefork", "--concurrency=1")
    pk = site.queue("count args=[100]")
    wait_until(lambda: site.states(pk) == ["queued", "running"], 20)
    site.kill(worker)
    row = site.wait_for(pk, "lost", seconds=NOTICED_SECONDS)
    assert row["error"] == "Its worker is not heard of any more."
    other = site.start_worker_with("--pool=prefork", "--concurrency=1")
    site.shell(RESTORE)
    row = site.wait_for(pk, "succeeded", seconds=30)
    assert row["attempts"] == 2
    assert site.states(pk) == ["queued", "running", "lost", "running", "succeeded"]
    other.stop()


def test_a_job_of_a_worker_that_was_only_stopped_is_found_again(site: EndingsSite) -> None:
    worker = site.start_worker_with("--pool=prefork", "--concurrency=1")
    pk = site.queue("count args=[200]")
    site.wait_for(pk, "running")
    os.killpg(worker.pid, signal.SIGSTOP)
    try:
        site.wait_for(pk, "lost", seconds=NOTICED_SECONDS)
    finally:
        os.killpg(worker.pid, signal.SIGCONT)
    found = site.wait_for(pk, "running", seconds=5)
    # Pages pass over what is older than the state in which they found it.
    wait_until(lambda: site.row(pk)["current"] > found["current"], 10)
    wait_until(lambda: progress(site, pk).get("version") == site.row(pk)["version"], 5)
    row = site.wait_for(pk, "succeeded", seconds=30)
    assert (row["attempts"], row["result"]) == (1, 200)
    worker.stop()


def test_a_job_of_a_worker_that_was_stopped_at_once_runs_in_the_next_one(
    site: EndingsSite,
) -> None:
    worker = site.start_worker_with("--pool=prefork", "--concurrency=1")
    pk = site.queue("count args=[60]")
    wait_until(lambda: site.states(pk) == ["queued", "running"], 20)  # it is said, too
    worker.send_signal(signal.SIGQUIT)
    worker.wait(20)
    row = site.wait_for(pk, "retrying", "lost", seconds=NOTICED_SECONDS)
    assert row["error"] == "Its worker was stopped."
    other = site.start_worker_with("--pool=prefork", "--concurrency=1")
    site.wait_for(pk, "succeeded")
    assert site.states(pk) == ["queued", "running", "retrying", "running", "succeeded"]
    other.stop()


def test_of_a_job_that_is_delivered_twice_the_second_run_counts(site: EndingsSite) -> None:
    """As with a visibility timeout that is shorter than the job."""
    worker = site.start_worker_with("--pool=prefork", "--concurrency=2")
    pk = site.queue("run_twice args=[1.5, 8]")
    site.wait_for(pk, "running")
    site.shell(RESTORE)
    wait_until(lambda: site.row(pk)["attempts"] == 2, 10)
    row = site.wait_for(pk, "succeeded", "failed", "lost", seconds=30)
    assert (row["state"], row["result"]) == ("succeeded", "the second")
    assert site.states(pk) == ["queued", "running", "running", "succeeded"]
    worker.stop()


def test_a_chord_whose_worker_is_killed_is_lost_as_a_whole(site: EndingsSite) -> None:
    worker = site.start_worker_with("--pool=prefork", "--concurrency=2")
    parts = "[part.s(1), part.s(2, pause=3), part.s(3, pause=3)]"
    pk = site.start(f"start_group(chord({parts}, add.s()), owner=owner, title='Chord')")
    two_run = ["succeeded", "running", "running", "queued"]
    wait_until(lambda: [member["state"] for member in site.members(pk)] == two_run, 20)
    site.kill(worker)
    row = site.wait_for(pk, "lost", seconds=NOTICED_SECONDS)
    assert row["error"] == "2 parts were lost."
    assert [member["state"] for member in site.members(pk)] == [
        *("succeeded", "lost", "lost", "cancelled")
    ]
    assert (row["members_done"], row["members_failed"]) == (1, 3)


def test_a_chord_of_a_worker_that_was_only_stopped_is_found_again(site: EndingsSite) -> None:
    worker = site.start_worker_with("--pool=prefork", "--concurrency=2")
    parts = "[part.s(1, pause=.2), part.s(2, pause=.2)]"
    pk = site.start(f"start_group(chord({parts}, add.s()), owner=owner, title='Chord')")
    two_run = ["running", "running", "queued"]
    wait_until(lambda: [member["state"] for member in site.members(pk)] == two_run, 20)
    os.killpg(worker.pid, signal.SIGSTOP)
    try:
        site.wait_for(pk, "lost", seconds=NOTICED_SECONDS)
    finally:
        os.killpg(worker.pid, signal.SIGCONT)
    row = site.wait_for(pk, "succeeded", "cancelled", seconds=30)
    assert (row["state"], row["result"]) == ("succeeded", 3)
    worker.stop()


def test_a_job_whose_message_is_gone_is_lost(site: EndingsSite) -> None:
    pk, kept = site.queue("give args=[1]"), site.queue("give args=[2]")
    with site.redis.client() as client:
        messages = client.lrange("celery", 0, -1)
        [gone] = [message for message in messages if pk.encode() in message]
        assert client.lrem("celery", 1, gone) == 1
    row = site.wait_for(pk, "lost", seconds=NOTICED_SECONDS)
    assert row["error"] == "Its message was lost."
    assert site.row(kept)["state"] == "queued"
    worker = site.start_worker_with("--pool=solo")
    site.wait_for(kept, "succeeded")
    worker.stop()


def test_redis_going_away_loses_no_job(site: EndingsSite) -> None:
    worker = site.start_worker_with("--pool=prefork", "--concurrency=1")
    pk = site.queue("count args=[250]")
    wait_until(lambda: site.states(pk) == ["queued", "running"], 20)
    os.kill(site.redis.pid, signal.SIGSTOP)
    try:
        time.sleep(7)  # longer than the silence after which a job is lost
    finally:
        os.kill(site.redis.pid, signal.SIGCONT)
    site.wait_for(pk, "succeeded", "lost", seconds=40)
    assert site.states(pk) == ["queued", "running", "succeeded"], site.logs
    worker.stop()


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_outlives_a_redis_that_dies_in_the_middle_of_a_job(
    site: EndingsSite, pool: str
) -> None:
    """Celery 5.7.0 alone would not, see `broker_loss.py`."""
    worker = site.start_worker_with(f"--pool={pool}", "--concurrency=2")
    pk = site.queue("count args=[100]")
    wait_until(lambda: site.states(pk) == ["queued", "running"], 20)
    site.redis.kill()
    time.sleep(1)  # of the job's five seconds
    site.redis.start()
    site.wait_for(pk, "succeeded", seconds=40)
    again = site.queue("give args=[1]")
    site.wait_for(again, "succeeded", seconds=20)
    assert worker.returncode is None
    worker.stop()


def test_a_job_with_time_to_wait_is_not_missed(site: EndingsSite) -> None:
    worker = site.start_worker_with("--pool=threads", "--concurrency=1")
    pk = site.queue("give args=[1], countdown=9")
    site.wait_for(pk, "succeeded", "lost", seconds=20)
    assert site.states(pk) == ["queued", "running", "succeeded"]
    worker.stop()


POOLS = ["solo", "threads", "prefork", "gevent"]


@pytest.mark.parametrize("pool", POOLS)
def test_jobs_end_alike_in_every_pool(site: EndingsSite, pool: str) -> None:
    worker = site.start_worker_with(f"--pool={pool}", "--concurrency=2")
    try:
        good, bad = site.queue("count args=[20]"), site.queue("fail")
        assert site.wait_for(good, "succeeded")["fraction"] == 1
        assert site.wait_for(bad, "failed")["error"] == "ValueError: no such file"
        again = site.queue("retry_twice args=[0.1]")
        assert site.wait_for(again, "succeeded")["attempts"] == 3
        pk = site.queue(f"count title='in {pool}'")
        site.wait_for(pk, "running")
        site.act("cancel", pk)
        site.wait_for(pk, "cancelled", seconds=8)
        assert f"cleaned up in {pool}" in site.marks
        parts = "[part.s(1, pause=.02), part.s(2, pause=.02)]"
        chord = site.start(f"start_group(chord({parts}, add.s()), owner=owner)")
        assert site.wait_for(chord, "succeeded")["result"] == 3
    finally:
        worker.stop()
