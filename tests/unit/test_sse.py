"""Frames and cursors."""

import pytest

from notifications import sse
from notifications.messages import Message


def test_an_event_has_a_data_field_for_each_line():
    assert sse.event("note", "one\ntwo\r\nthree\rfour") == (
        b"event: note\ndata: one\ndata: two\ndata: three\ndata: four\n\n"
    )


def test_a_log_message_carries_the_cursor_and_a_latest_value_does_not():
    log = sse.Frame.of(Message("user-1", 7, 5, "", "note", "{}"))
    latest = sse.Frame.of(Message("user-1", 8, 7, "job", "tick", "{}"))
    assert log.wire == b"id: user-1:7\nevent: note\ndata: {}\n\n"
    assert latest.wire == b"event: tick\ndata: {}\n\n"


@pytest.mark.parametrize("channel", ["user-1", "room:1,a", "größe", "100%"])
def test_a_cursor_is_read_back_as_it_was_written(channel):
    cursor = {channel: 1795443967711103, "other": 3}
    assert sse.parse_cursor(sse.format_cursor(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    ["", "error", ":", "user-1", "user-1:", ":5", "user-1:abc", "user-1:-5", "user-1:1.5",
     "user-1:0", "user-1:٣", f"user-1:{2**53}", "user-1:" + "9" * 5000, "\x00:\x00", "a:b:c,,,:::"],
)  # fmt: skip
def test_garbage_names_no_channel(text):
    assert sse.parse_cursor(text) == {}


def test_what_is_garbled_does_not_take_the_rest_with_it():
    assert sse.parse_cursor("user-1:x,user-2:5") == {"user-2": 5}
