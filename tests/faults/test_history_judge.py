"""Each rule of the judge, on a history made by hand that breaks it, and on one that nearly does."""

import pytest

from tests.support.history import (
    ClientHistory,
    Closed,
    Entry,
    Fault,
    History,
    Latest,
    Log,
    Opened,
    Publication,
    Saw,
    Silence,
)
from tests.support.history_judge import judge

CHANNEL = "user-1"


def log(at: float, text: str, id: int | None) -> Publication:
    return Publication(CHANNEL, text, "", at, at + 0.1, id)


def value(at: float, number: int, id: int | None, key: str = "k") -> Publication:
    return Publication(CHANNEL, str(number), key, at, at + 0.1, id)


def history(said: list[Publication], seen: list[Entry], *faults: Fault, **more) -> History:
    opening = [Opened(0, ""), Saw(0, "stream-open", 1)]
    client = ClientHistory("client", CHANNEL, [*opening, *seen])
    return History(said, [client], list(faults), ended=100.0, **more)


def rules(made: History) -> list[str]:
    return [finding.rule for finding in judge(made)]


TWO = [log(1, "a", 10), log(2, "b", 20)]


def test_all_received_in_order_is_good():
    assert rules(history(TWO, [Log(1, "a", 10), Log(2, "b", 20)])) == []


def test_a_message_that_never_came_is_lost():
    assert rules(history(TWO, [Log(1, "a", 10)])) == ["lost"]


def test_a_message_that_was_passed_over_is_lost_although_a_reset_came_later():
    seen = [Log(2, "b", 20), Saw(3, "stream-reset", 20)]
    assert rules(history(TWO, seen)) == ["lost"]


def test_a_reset_before_the_cursor_passes_covers_what_was_said_before_it():
    assert rules(history(TWO, [Saw(1.5, "stream-reset", 10), Log(2, "b", 20)])) == []


def test_a_reset_does_not_cover_what_is_said_after_it():
    assert rules(history(TWO, [Log(1, "a", 10), Saw(1.5, "stream-reset", 10)])) == ["lost"]


def test_a_message_that_may_not_have_been_published_need_not_come():
    said = [log(1, "a", None), log(2, "b", 20)]
    assert rules(history(said, [Log(2, "b", 20)])) == []
    assert rules(history(said, [Log(1.5, "a", 15), Log(2, "b", 20)])) == []


def test_a_message_that_redis_forgot_without_a_trace_is_lost_only_if_somebody_heard_it():
    rewind = Fault("rewind", 1, 1.5, True, 0.9, traceless=True)
    made = history(TWO, [Log(2, "b", 20)], rewind)
    assert rules(made) == []
    other = [Opened(0, ""), Saw(0, "stream-open", 1), Log(1, "a", 10), Log(2, "b", 20)]
    made.clients.append(ClientHistory("other", CHANNEL, other))
    assert rules(made) == ["lost"]


def test_a_message_from_before_the_first_cursor_is_not_waited_for():
    assert rules(history([log(-1, "old", 1), *TWO], [Log(1, "a", 10), Log(2, "b", 20)])) == []


@pytest.mark.parametrize("between", [[], [Closed(3, "broken"), Opened(4, f"{CHANNEL}:20")]])
def test_a_message_that_comes_twice_is_repeated(between):
    seen = [Log(1, "a", 10), Log(2, "b", 20), *between, Log(5, "b", 20)]
    assert rules(history(TWO, seen)) == ["repeated", "not rising"]


def test_ids_that_do_not_rise_in_a_stream():
    assert rules(history(TWO, [Log(1, "b", 20), Log(2, "a", 10)])) == ["not rising"]


def test_a_message_that_nobody_published():
    assert rules(history([], [Log(1, "ghost", 10)])) == ["never said"]
    assert rules(history([], [Latest(1, "k", 3)])) == ["never said"]


def test_a_message_with_another_id_than_its_publisher_was_told():
    assert rules(history([log(1, "a", 10)], [Log(1, "a", 11)])) == ["never said"]


VALUES = [value(1, 1, 10), value(2, 2, 20)]
REOPENED = [Closed(4, "broken"), Opened(5, "")]


def test_a_value_may_be_passed_over_and_not_go_back():
    assert rules(history(VALUES, [Latest(2, "k", 2)])) == []
    assert rules(history(VALUES, [Latest(2, "k", 2), Latest(3, "k", 1)])) == ["value went back"]


def test_a_value_does_not_go_back_on_the_next_stream_either():
    seen = [Latest(2, "k", 2), *REOPENED, Latest(6, "k", 1)]
    assert rules(history(VALUES, seen)) == ["value went back"]


def test_a_value_that_redis_has_forgotten_may_be_older_on_the_next_stream_only():
    rewind = Fault("rewind", 1.5, 4.5, True, 1.5)
    assert rules(history(VALUES, [Latest(2, "k", 2), *REOPENED, Latest(6, "k", 1)], rewind)) == []
    seen = [Latest(2, "k", 2), Latest(6, "k", 1)]
    assert rules(history(VALUES, seen, rewind)) == ["value went back"]


def test_a_value_whose_publication_raised_may_come_late():
    said = [value(1, 1, None), value(2, 2, 20)]
    assert rules(history(said, [Latest(2, "k", 2), Latest(3, "k", 1), Latest(3, "k", 2)])) == []


def test_the_last_value_and_the_last_message_must_have_come():
    final = {"final_texts": {CHANNEL: "b"}, "final_numbers": {(CHANNEL, "k"): 2}}
    said = [*VALUES, log(3, "b", 30)]
    end = Log(3, "b", 30)
    assert rules(history(said, [Latest(2, "k", 2), end], **final)) == []
    assert rules(history(said, [Latest(2, "k", 1), end], **final)) == ["not at the end"]
    assert rules(history(said, [Latest(2, "k", 2)], **final)) == ["lost", "not at the end"]


def test_a_stream_that_stays_silent():
    assert rules(history([], [Silence(10, 7)])) == []
    assert rules(history([], [Silence(20, 7)])) == ["silent"]


OUTAGE = Fault("kill", 10, 12, redis=True)


def test_a_stream_that_is_not_live_soon_after_redis_is_back():
    paused = Saw(10.5, "stream-paused")
    assert rules(history([], [paused, Saw(13, "stream-live")], OUTAGE)) == []
    assert rules(history([], [paused], OUTAGE)) == ["not recovered"]
    assert rules(history([], [paused, Saw(18, "stream-live")], OUTAGE)) == ["not recovered"]


def test_a_stream_that_has_closed_or_was_broken_again_meanwhile_is_not_asked():
    paused = Saw(10.5, "stream-paused")
    assert rules(history([], [paused, Closed(11, "broken")], OUTAGE)) == []
    again = Fault("kill", 14, 90, redis=True)
    assert rules(history([], [paused, Saw(91, "stream-live")], OUTAGE, again)) == []


def test_an_id_that_is_given_twice_or_falls():
    twice = [log(1, "a", 10), log(2, "b", 10)]
    assert "id given twice" in rules(history(twice, [Log(2, "a", 10)]))
    falls = [log(1, "a", 20), log(2, "b", 10)]
    seen = [Log(1, "b", 10), Log(2, "a", 20)]
    assert rules(history(falls, seen)) == ["id not rising"]


def test_a_publisher_that_is_held_up():
    slow = Publication(CHANNEL, "a", "", 1, 20, None)
    assert rules(history([slow], [])) == ["held up"]
