"""Steps and phases: one bar over all of them, that never goes back."""

import math
import random

import pytest

from notifications.jobs.models import STEPS_MAX, Job
from notifications.jobs.phases import DONE, step, steps
from notifications.jobs.progress import Progress
from notifications.jobs.reporter import Reporter, begin, end
from notifications.jobs.tracking import track


@pytest.fixture
def reporter(published):
    """A job's, without a database."""
    reporter = begin(Job(title="t"))
    reporter._next_look = reporter._next_save = math.inf
    yield reporter
    end()


def fraction(reporter: Reporter) -> float | None:
    return reporter.measure().fraction


def states(reporter: Reporter) -> dict[str, str]:
    return {step["title"]: step["state"] for step in reporter.measure().steps}


class TestAnnounced:
    def test_weights_make_one_bar(self, reporter):
        steps("Read", ("Parse", 2), ("Save", 1))
        assert fraction(reporter) == 0
        with step("Read"):
            assert fraction(reporter) == 0
        assert fraction(reporter) == 0.25
        with step("Parse"):
            count = Progress(10)
            count.set(5)
            assert fraction(reporter) == 0.5
        assert fraction(reporter) == 0.75
        with step("Save"):
            pass
        assert fraction(reporter) == 1

    def test_each_step_tells_its_state_and_how_far_it_is(self, reporter):
        steps("Read", "Parse", "Save")
        with step("Read"):
            pass
        with step("Parse"):
            assert reporter.measure().steps[1]["fraction"] is None  # nothing counted yet
            Progress(4).set(3)
            assert reporter.measure().steps == [
                {"title": "Read", "state": "done", "fraction": 1.0},
                {"title": "Parse", "state": "running", "fraction": 0.75},
                {"title": "Save", "state": "waiting", "fraction": None},
            ]

    def test_a_step_that_is_passed_over_counts_as_done(self, reporter):
        steps("Read", "Parse", "Save")
        with step("Save"):
            assert states(reporter) == {"Read": "done", "Parse": "done", "Save": "running"}
            assert fraction(reporter) == 0
        assert fraction(reporter) == 1

    def test_one_that_was_not_announced_shares_what_is_left(self, reporter):
        steps("Read", "Save")
        with step("Read"):
            pass
        with step("Check"):
            assert states(reporter) == {"Read": "done", "Check": "running", "Save": "waiting"}
        assert fraction(reporter) == 0.75
        with step("Save"):
            pass
        assert fraction(reporter) == 1

    def test_the_same_title_twice_is_two_steps(self, reporter):
        steps("Pass", "Pass")
        with step("Pass"):
            pass
        assert fraction(reporter) == 0.5
        with step("Pass"):
            pass
        assert fraction(reporter) == 1

    def test_a_count_between_steps_is_shown_and_takes_none_of_their_bar(self, reporter):
        steps("Read", "Save")
        with step("Read"):
            pass
        Progress(10, message="In between").set(10)
        assert reporter.measure().message == "In between"
        assert fraction(reporter) == 0.5

    def test_nested_steps_share_what_the_outer_one_has(self, reporter):
        steps("Read", "Parse")
        with step("Read"):
            pass
        with step("Parse"):
            steps("Words", ("Lines", 3))
            with step("Words"):
                pass
            assert fraction(reporter) == 0.5 + 0.5 / 4
            with step("Lines"):
                Progress(2).set(1)
                assert fraction(reporter) == 0.5 + 0.5 * (1 / 4 + 3 / 8)
                assert reporter.measure().message == "Lines"
            assert list(states(reporter)) == ["Read", "Parse"]


class TestNotAnnounced:
    def test_each_leaves_room_for_what_may_follow(self, reporter):
        assert fraction(reporter) is None
        with step("Read"):
            assert fraction(reporter) == 0
        assert fraction(reporter) == 0.5
        with step("Parse", weight=3):
            Progress(2).set(1)
            assert fraction(reporter) == 0.5 + 0.5 * 3 / 4 / 2
        assert fraction(reporter) == 0.5 + 0.5 * 3 / 4

    def test_no_time_left_is_told_from_a_bar_that_is_not_to_scale(self, reporter):
        reporter._may_speak = math.inf
        with step("Read"):
            for item in track(range(100)):
                reporter._set(reporter.measure(), reporter._course._began + item)
            assert reporter.job.rate is not None
            assert reporter.job.eta is None


class TestPhases:
    def test_a_second_count_fills_what_the_first_has_left(self, reporter):
        for item in track(range(10), "First"):
            if item == 4:
                break
        assert fraction(reporter) == 0.4
        for item in track(range(10), "Second"):
            if item == 5:
                assert reporter.measure().message == "Second"
                assert (reporter.measure().current, reporter.measure().total) == (5, 10)
                assert fraction(reporter) == pytest.approx(0.7)

    def test_after_a_full_bar_nothing_is_known(self, reporter):
        list(track(range(10), "First"))
        assert fraction(reporter) == 1
        for _ in track(range(10), "Second"):
            assert fraction(reporter) is None

    def test_an_unknown_total_leaves_the_bar_to_the_next(self, reporter):
        for _ in track((n for n in range(5)), "Unknown"):
            assert fraction(reporter) is None
        for item in track(range(10), "Known"):
            assert fraction(reporter) == item / 10

    def test_a_track_within_a_track_refines_the_bar(self, reporter):
        for outer in track(range(4), "Files"):
            for inner in track(range(10), "Rows"):
                assert fraction(reporter) == pytest.approx((outer + inner / 10) / 4)
                measure = reporter.measure()
                assert (measure.message, measure.current, measure.total) == ("Files", outer, 4)

    def test_steps_within_a_track_refine_the_bar(self, reporter):
        for item in track(range(2)):
            steps("Read", "Save")
            with step("Read"):
                assert fraction(reporter) == item / 2
                assert reporter.measure().message == "Read"
            assert fraction(reporter) == item / 2 + 0.25
            with step("Save"):
                pass
        assert fraction(reporter) == 1
        assert reporter.measure().steps == []

    def test_a_new_step_starts_with_a_clean_count(self, reporter):
        with step("Read"):
            Progress(10, unit="rows").set(7)
        with step("Save"):
            measure = reporter.measure()
            assert (measure.message, measure.unit, measure.current) == ("Save", "", 0)


class TestBadInput:
    @pytest.mark.parametrize("weight", [-1, float("nan"), float("inf")])
    def test_a_weight_that_is_none_counts_as_one(self, reporter, weight):
        steps(("Read", weight), "Save")
        with step("Read"):
            pass
        assert fraction(reporter) == 0.5

    def test_weights_of_zero_are_allowed(self, reporter):
        steps(("Read", 0), ("Save", 0))
        for title in ("Read", "Save"):
            with step(title):
                pass
        assert fraction(reporter) == 1

    def test_the_step_that_failed_stays_where_it_was(self, reporter):
        steps("Read", "Save")
        with pytest.raises(ValueError, match="no such file"), step("Read"):
            Progress(2).set(1)
            raise ValueError("no such file")
        assert states(reporter) == {"Read": "running", "Save": "waiting"}
        assert fraction(reporter) == 0.25
        with step("Save"):
            assert states(reporter) == {"Read": DONE, "Save": "running"}

    def test_of_many_steps_those_around_the_present_one_are_shown(self, reporter):
        steps(*(f"Step {n}" for n in range(100)))
        for n in range(100):
            with step(f"Step {n}"):
                shown = reporter.measure().steps
                assert len(shown) == STEPS_MAX
                assert f"Step {n}" in states(reporter)

    def test_steps_in_a_loop_do_not_pile_up(self, reporter):
        for n in range(2000):
            with step(f"Step {n}"):
                pass
        assert len(reporter._course._root.steps) < 250

    def test_a_title_is_cut_and_cleaned(self, reporter):
        with step("a\0\ud800" + "x" * 1000):
            assert reporter.measure().message == "a\ufffd\ufffd" + "x" * 97


def test_outside_a_job_steps_do_nothing():
    steps("Read", ("Save", 2))
    with step("Read"), step("Inner", weight=3):
        pass


@pytest.mark.parametrize("seed", range(30))
def test_whatever_a_task_does_its_bar_never_goes_back(reporter, seed):
    chance = random.Random(seed)
    highest = 0.0

    def look() -> None:
        nonlocal highest
        now = fraction(reporter)
        if now is not None:
            assert highest <= now <= 1
            highest = now

    def work(depth: int) -> None:
        for _ in range(chance.randint(1, 3)):
            look()
            match chance.randint(0, 4) if depth else 0:
                case 0:
                    count = Progress(chance.choice((None, 0, -3, 5, float("nan"), 2.5)))
                    for _ in range(chance.randint(0, 8)):
                        count.update(chance.choice((1, 0, -1, 0.5, float("inf"))))
                        look()
                case 1:
                    with step(chance.choice("abc"), chance.choice((0, 1, 2))):
                        work(depth - 1)
                case 2:
                    for item in track(range(4), total=chance.choice((None, 2, 4, 9))):
                        work(depth - 1)
                        look()
                        if item == 2 and chance.random() < 0.3:
                            break
                case 3:
                    steps(*chance.sample("abcd", 2), ("e", chance.choice((0, 0.5, 3))))
                case 4:
                    with Progress(3) as count:
                        for _ in range(4):
                            work(depth - 1)
                            count.update()
            look()

    work(3)
