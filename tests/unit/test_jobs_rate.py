"""Rates: calm, and shown only where they mean something."""

import random
from itertools import pairwise

import pytest

from notifications.jobs.rate import Rate


def rates_of(samples: list[tuple[float, float]]) -> list[float | None]:
    rate, values = Rate(), []
    for count, now in samples:
        rate.update(count, now)
        values.append(rate.value(now))
    return values


def test_it_appears_after_a_second_and_two_changes():
    rate = Rate()
    assert rate.value(0.0) is None
    for count, now, expected in [(0, 0, None), (50, 0.5, None), (80, 0.8, None), (100, 1, 100)]:
        rate.update(count, now)
        assert rate.value(now) == (expected and pytest.approx(expected, rel=0.01))


def test_one_change_is_not_enough_however_late_it_comes():
    assert rates_of([(0, 0.0), (1, 100.0)])[-1] is None
    assert rates_of([(0, 0.0), (1, 100.0), (2, 200.0)])[-1] == pytest.approx(0.01)


def test_a_steady_count_has_its_own_rate():
    values = rates_of([(10 * t, t / 10) for t in range(600)])
    assert values[-1] == pytest.approx(100, rel=0.01)


def test_a_burst_does_not_make_it_jump():
    values = rates_of([*((10 * t, t / 10) for t in range(100)), (1990, 10.0)])
    assert values[-2] == pytest.approx(100, rel=0.01)
    assert values[-1] < 350


def test_work_in_bursts_has_the_rate_of_the_whole():
    values = rates_of([(1000 * t, 2.0 * t) for t in range(30)])
    assert all(value == pytest.approx(500, rel=0.01) for value in values[2:])


def test_noise_is_smoothed_the_more_the_longer_it_runs():
    chance, count, samples = random.Random(7), 0, []
    for t in range(3000):
        count += chance.choice((0, 5, 30))
        samples.append((count, t / 10))
    values = [value for value in rates_of(samples) if value is not None]
    late = values[len(values) // 2 :]
    assert max(late) / min(late) < 1.35
    steps = [abs(after / before - 1) for before, after in pairwise(late)]
    assert max(steps) < 0.02


def test_slow_items_of_uneven_length_are_smoothed_too():
    chance, now, samples = random.Random(7), 0.0, [(0.0, 0.0)]
    for count in range(1, 60):
        now += chance.choice((40, 80))
        samples.append((float(count), now))
    late = [value for value in rates_of(samples)[20:] if value is not None]
    assert max(late) / min(late) < 1.7


def test_it_follows_a_change_of_pace():
    samples = [(10 * t, t / 10) for t in range(300)]
    samples += [(2990 + t, 29.9 + t / 10) for t in range(1, 600)]
    assert rates_of(samples)[-1] == pytest.approx(10, rel=0.2)


def test_a_standstill_has_none_after_a_while():
    rate = Rate()
    for t in range(100):
        rate.update(t, t / 10)
    assert rate.value(15.0) is not None
    assert rate.value(9.9 + rate.still_seconds + 0.1) is None


def test_a_slow_count_is_no_standstill():
    rate = Rate()
    for t in range(5):
        rate.update(t, 30.0 * t)
    assert rate.value(4 * 30.0 + 29.0) == pytest.approx(1 / 30)


@pytest.mark.parametrize("counts", [(0, 0, 0), (5, 4, 3)])
def test_a_count_that_does_not_rise_has_none(counts):
    assert rates_of([(count, 10.0 * n) for n, count in enumerate(counts)])[-1] is None


def test_a_clock_that_stands_divides_by_nothing():
    assert rates_of([(0, 1.0), (5, 1.0), (9, 1.0)]) == [None, None, None]
