"""track(): around anything that can be looped over, in a job and outside of one."""

import asyncio
import itertools
import math
import sys
import time
import timeit

import pytest

from notifications.jobs import signs
from notifications.jobs.exceptions import JobCancelled
from notifications.jobs.models import Job
from notifications.jobs.progress import Progress
from notifications.jobs.reporter import begin, end
from notifications.jobs.tracking import track


@pytest.fixture
def reporter(published):
    """A job's, without a database."""
    reporter = begin(Job(title="t"))
    reporter._next_look = reporter._next_save = math.inf
    yield reporter
    end()


def counted(reporter) -> tuple[int, int | None, str, str]:
    measure = reporter.measure()
    return measure.current, measure.total, measure.unit, measure.message


class TestInAJob:
    def test_an_item_counts_when_the_next_one_is_asked_for(self, reporter):
        seen = []
        for item in track("abc", "Letters", unit="letters"):
            seen.append((item, *counted(reporter)[:2]))
        assert seen == [("a", 0, 3), ("b", 1, 3), ("c", 2, 3)]
        assert counted(reporter) == (3, 3, "letters", "Letters")

    def test_it_gives_the_very_items(self, reporter):
        items = [object() for _ in range(50)]
        assert all(a is b for a, b in zip(track(items), items, strict=True))

    def test_desc_is_tqdms_word_for_the_message(self, reporter):
        list(track([1], desc="Reading", unit="B", total=7))
        assert counted(reporter) == (1, 7, "B", "Reading")

    @pytest.mark.parametrize(
        ("iterable", "total"),
        [
            ([1, 2], 2),
            (range(5), 5),
            (iter([1, 2, 3]), 3),
            ({"a": 1}.items(), 1),
            ((n for n in range(3)), None),
            (range(10**30), None),
        ],
    )
    def test_the_total_is_asked_of_the_iterable(self, reporter, iterable, total):
        next(iter(track(iterable)))
        assert counted(reporter)[1] == total

    def test_a_length_that_raises_is_no_trouble(self, reporter):
        class Broken:
            def __len__(self) -> int:
                raise OSError("no length today")

            def __iter__(self):
                return iter("ab")

        assert list(track(Broken())) == ["a", "b"]

    @pytest.mark.parametrize("total", [0, -1, math.nan, math.inf, -math.inf, None, "many", 2**70])
    def test_a_total_that_is_none_is_unknown(self, reporter, total):
        list(track((n for n in range(4)), total=total))
        assert counted(reporter)[:2] == (4, None)
        assert reporter.measure().fraction is None

    def test_a_total_that_is_too_small_follows_the_count(self, reporter):
        for item in track(range(6), total=4):
            assert counted(reporter)[:2] == (item, max(item, 4))
            assert reporter.measure().fraction == min(item / 4, 1)

    def test_an_iterable_that_raises_half_way_is_heard_and_stays_half_way(self, reporter):
        def broken():
            yield from range(3)
            raise OSError("the disk is gone")

        with pytest.raises(OSError, match="the disk is gone"):
            list(track(broken(), total=6))
        assert counted(reporter)[:2] == (3, 6)
        assert reporter.measure().fraction == 0.5

    def test_an_error_in_the_loop_ends_it_there(self, reporter):
        def work():
            for item in track(range(4)):
                if item == 2:
                    raise ValueError("row 2")

        with pytest.raises(ValueError, match="row 2"):
            work()
        assert counted(reporter)[:2] == (2, 4)

    def test_an_empty_one_is_done_at_once(self, reporter):
        assert list(track([], "Nothing")) == []
        assert counted(reporter) == (0, None, "", "Nothing")

    def test_several_at_a_time_give_their_items_and_a_bar_that_rises(self, reporter):
        fractions = []
        for a, b in zip(track(range(5)), track("abcde"), strict=True):
            assert "abcde"[a] == b
            fractions.append(reporter.measure().fraction)
        assert fractions == sorted(fractions)

    def test_one_that_nobody_finishes_does_no_harm(self, reporter):
        abandoned = iter(track(range(10)))
        next(abandoned)
        for _ in track(range(3), "Others"):
            pass
        del abandoned
        list(track(range(3), "Last"))
        assert counted(reporter)[3] == "Last"

    def test_the_last_state_is_said_although_the_task_says_nothing_more(self, published, db):
        from django.contrib.auth.models import User

        owner = User.objects.create(username="somebody")
        begin(Job.objects.create(owner=owner, title="t"))
        try:
            rows = iter(track(range(100)))
            for _ in range(8):
                next(rows)  # within a moment, of which the first alone is said
            deadline = time.monotonic() + 5
            while not published or published[-1].data["current"] != 7:
                assert time.monotonic() < deadline, published
                time.sleep(0.01)
        finally:
            end()
        assert published[0].data["current"] == 0
        assert len(published) <= 4

    def test_items_that_come_slowly_after_quick_ones_are_counted_in_time(self, published, db):
        from django.contrib.auth.models import User

        owner = User.objects.create(username="somebody")
        begin(Job.objects.create(owner=owner, title="t"))
        try:
            for item in track(range(200_010)):
                if item >= 200_000:
                    time.sleep(0.06)
        finally:
            end()
        slow = [said.data["current"] for said in published if said.data["current"] > 200_000]
        assert len(slow) >= 3


class TestCancelling:
    @pytest.fixture
    def job(self, live_redis, db) -> Job:
        return Job.objects.create(title="t")

    def wait(self, reporter) -> None:
        """Until it looks again."""
        reporter.due = reporter._next_look = 0.0

    def test_the_loop_is_left_where_the_task_comes_by(self, job):
        reporter = begin(job)
        cleaned = []
        try:
            with pytest.raises(JobCancelled):
                for item in track(range(10)):
                    try:
                        if item == 3:
                            signs.ask_to_cancel([job.pk])
                            self.wait(reporter)
                            reporter._course.followed[0].kick()
                    finally:
                        cleaned.append(item)
        finally:
            fields = end()
        assert cleaned == [0, 1, 2, 3]
        assert (fields["current"], fields["total"]) == (4, 10)

    def test_it_is_raised_once_so_that_the_task_can_clean_up(self, job):
        reporter = begin(job)
        try:
            count = Progress(10)
            signs.ask_to_cancel([job.pk])
            self.wait(reporter)
            with pytest.raises(JobCancelled):
                count.set(1)
            self.wait(reporter)
            count.set(2)
            reporter.log("cleaned up", "info")
        finally:
            assert end()["log_lines"] == 1

    def test_a_task_in_an_event_loop_is_stopped_too(self, job):
        async def work() -> None:
            async for _ in track(numbers(10**6, seconds=0.01)):
                pass

        signs.ask_to_cancel([job.pk])
        reporter = begin(job)
        reporter._next_look = 0.0
        try:
            with pytest.raises(JobCancelled):
                asyncio.run(asyncio.wait_for(work(), 10))
        finally:
            assert end()["current"] < 900

    def test_it_is_asked_once_a_second_at_most(self, job, monkeypatch):
        from notifications.jobs import reporter as module

        asked = []
        monkeypatch.setattr(module, "cancel_requested", lambda pk: bool(asked.append(pk)))
        begin(job)
        started = time.monotonic()
        try:
            for _ in track(itertools.count()):
                if time.monotonic() - started > 2.5:
                    break
        finally:
            end()
        assert len(asked) == 2


async def numbers(stop: int, seconds: float = 0.0):
    for number in range(stop):
        await asyncio.sleep(seconds)
        yield number


class TestAsync:
    def test_an_async_iterable_is_counted(self, reporter):
        async def work() -> list[int]:
            seen = []
            async for item in track(numbers(4), "Pages", total=4):
                seen.append((item, reporter.measure().current))
            return seen

        assert asyncio.run(work()) == [(0, 0), (1, 1), (2, 2), (3, 3)]
        assert counted(reporter) == (4, 4, "", "Pages")

    def test_one_that_raises_half_way_stays_there(self, reporter):
        async def broken():
            yield 1
            raise OSError("gone")

        async def work() -> None:
            async for _ in track(broken(), total=2):
                pass

        with pytest.raises(OSError, match="gone"):
            asyncio.run(work())
        assert counted(reporter)[:2] == (1, 2)

    def test_many_at_a_time_make_a_bar_that_rises(self, reporter):
        fractions = []

        async def work() -> None:
            async for _ in track(numbers(20), total=20):
                fractions.append(reporter.measure().fraction)

        async def all_of_it() -> None:
            await asyncio.gather(*(work() for _ in range(5)))

        asyncio.run(all_of_it())
        known = [fraction for fraction in fractions if fraction is not None]
        assert known == sorted(known)

    def test_progress_is_said_while_the_loop_runs(self, published, db):
        from django.contrib.auth.models import User

        owner = User.objects.create(username="somebody")
        begin(Job.objects.create(owner=owner, title="t"))

        async def work() -> None:
            async for _ in track(numbers(60, seconds=0.01), total=60):
                pass

        try:
            asyncio.run(work())
        finally:
            end()
        assert len(published.of("job")) >= 2

    def test_outside_a_job_it_is_the_iterable_alone(self):
        async def work() -> list[int]:
            return [item async for item in track(numbers(3))]

        assert asyncio.run(work()) == [0, 1, 2]


class Terminal:
    """Takes the place of a terminal: it is one, and keeps what is written."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


class TestOutsideAJob:
    def test_it_is_silent_where_there_is_no_terminal(self, capfd):
        assert list(track(range(3), "Reading")) == [0, 1, 2]
        assert capfd.readouterr() == ("", "")

    def test_it_costs_nothing_there(self):
        assert type(iter(track([1]))) is type(iter([1]))

    def test_on_a_terminal_it_draws_tqdms_bar(self, monkeypatch):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        assert list(track(range(3), "Reading", unit="rows")) == [0, 1, 2]
        assert "Reading: 100%" in terminal.text
        assert "3/3" in terminal.text
        assert " rows/s" in terminal.text

    def test_on_a_terminal_async_loops_have_one_too(self, monkeypatch):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)

        async def work() -> list[int]:
            return [item async for item in track(numbers(3), "Pages", unit="B", total=3)]

        assert asyncio.run(work()) == [0, 1, 2]
        assert "Pages: 100%" in terminal.text

    def test_on_a_terminal_without_tqdm_it_is_silent(self, monkeypatch):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setitem(sys.modules, "tqdm", None)
        assert list(track(range(3), "Reading")) == [0, 1, 2]
        assert terminal.text == ""

    @pytest.mark.parametrize("total", [0, -1, math.nan, math.inf])
    def test_on_a_terminal_bad_totals_are_no_trouble(self, monkeypatch, total):
        monkeypatch.setattr(sys, "stderr", Terminal())
        assert list(track((n for n in range(3)), total=total)) == [0, 1, 2]


def test_an_iteration_costs_less_than_a_fifth_of_a_microsecond(reporter):
    costs = timeit.repeat(lambda: sum(track(range(200_000))), number=1, repeat=5)
    bare = timeit.repeat(lambda: sum(iter(range(200_000))), number=1, repeat=5)
    assert (min(costs) - min(bare)) / 200_000 < 0.2e-6
