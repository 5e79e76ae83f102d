"""Log lines: sent as they come, within bounds, and kept at their end."""

import json
import math
import threading
import time

import pytest

from notifications import storage
from notifications.jobs import lifecycle
from notifications.jobs.logs import LINE_MAX_LENGTH, LIVE_LINES, TAIL_LINES, Lines, log
from notifications.jobs.models import Job
from notifications.jobs.reporter import begin, end
from tests.support.waiting import wait_until


@pytest.fixture
def reporter(published):
    """A job's, without a database."""
    reporter = begin(Job(title="t"))
    reporter._next_look = reporter._next_save = math.inf
    yield reporter
    end()


def texts(published) -> list[str]:
    return [said.data["text"] for said in published.of("job-log")]


def test_a_line_is_sent_on_the_jobs_own_channel(reporter, published):
    log("Reading the file")
    [said] = published
    assert (said.channel, said.type, said.key) == (f"job-{reporter.job.pk}", "job-log", "")
    assert said.data["n"] == 1
    assert (said.data["level"], said.data["text"]) == ("info", "Reading the file")
    assert said.data["at"].endswith("Z")


def test_lines_that_come_together_are_sent_together_and_in_order(reporter, published):
    for n in range(100):
        log(f"line {n}")
    assert len(published) == 1  # the rest waits for its turn
    wait_until(lambda: len(published) == 100, 5)
    assert texts(published) == [f"line {n}" for n in range(100)]
    assert [said.data["n"] for said in published] == list(range(1, 101))


def test_what_is_left_at_the_end_is_sent_before_it(published):
    begin(Job(title="t"))
    log("first")
    log("last words", "error")
    fields = end()
    assert texts(published) == ["first", "last words"]
    assert [line["level"] for line in fields["log_tail"]] == ["info", "error"]
    assert fields["log_lines"] == 2


def test_they_are_sent_at_most_ten_times_a_second(reporter, published, monkeypatch):
    times = []
    many = storage.append_many
    monkeypatch.setattr(storage, "append_many", lambda items: (times.append(items), many(items)))
    ended = time.monotonic() + 1
    while time.monotonic() < ended:
        log("again")
        time.sleep(0.001)
    assert 3 <= len(times) <= 11


def test_of_ten_thousand_the_last_thousand_are_kept_and_all_are_counted(published):
    begin(Job(title="t"))
    for n in range(1, 10_001):
        log(f"line {n}")
    fields = end()
    assert fields["log_lines"] == 10_000
    tail = fields["log_tail"]
    assert len(tail) == TAIL_LINES
    assert (tail[0]["n"], tail[-1]["n"], tail[-1]["text"]) == (9_001, 10_000, "line 10000")
    assert texts(published)[-LIVE_LINES:] == [
        f"line {n}" for n in range(10_001 - LIVE_LINES, 10_001)
    ]


def test_a_line_of_a_megabyte_is_cut_and_says_so(reporter, published):
    log("é" * 2**20)
    [text] = texts(published)
    assert len(text) == LINE_MAX_LENGTH
    assert text.endswith("… (cut; 1,048,576 characters in all)")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\0b", "a\ufffdb"),
        ("half \ud83d", "half \ufffd"),
        ("whole 🎉", "whole 🎉"),
        ("<b>bold</b>", "<b>bold</b>"),
        (42, "42"),
        (None, "None"),
        ("", ""),
    ],
)
def test_whatever_is_logged_can_be_sent_and_kept(reporter, published, text, kept):
    log(text)
    assert texts(published) == [kept]
    json.dumps(end()).encode()


def test_a_level_that_nobody_knows_is_info(reporter, published):
    for level in ("debug", "info", "warning", "error", "<script>"):
        log("text", level)
    assert [line["level"] for line in end()["log_tail"]] == [
        "debug", "info", "warning", "error", "info",
    ]  # fmt: skip


def test_numbers_go_on_in_the_next_attempt(published, db):
    job = Job.objects.create(title="t")
    for attempt in (1, 2):
        begin(lifecycle.start(job.pk))
        log(f"attempt {attempt}")
        Job.objects.filter(pk=job.pk).update(**end())
    job.refresh_from_db()
    assert job.log_lines == 2
    assert [(line["n"], line["text"]) for line in job.log_tail] == [
        (1, "attempt 1"),
        (2, "attempt 2"),
    ]


def test_outside_a_job_a_line_goes_nowhere(published):
    log("Hello?")
    assert published == []


def test_lines_from_several_threads_are_all_counted():
    lines = Lines()

    def write() -> None:
        for _ in range(1000):
            lines.add("text", "info")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lines.count == 4000
    numbers = [line["n"] for line in lines.tail()]
    assert numbers == list(range(3001, 4001))


def test_lines_wait_for_a_redis_that_is_away(live_redis, db):
    job = Job.objects.create(title="t")
    reporter = begin(job)
    try:
        live_redis.kill()
        log("said into the void")
        assert reporter._retry > 0
        live_redis.start()
        log("and back")
        wait_until(lambda: len(storage.read(job.channel, 1).log) == 2, 10)
        said = [json.loads(message.data) for message in storage.read(job.channel, 1).log]
        assert [line["text"] for line in said] == ["said into the void", "and back"]
        assert [line["n"] for line in said] == [1, 2]
    finally:
        end()
