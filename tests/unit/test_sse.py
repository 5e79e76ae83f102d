"""Frames and cursors."""

import pytest

from notifications import sse

LOG = b"7\n5\n\nnote\n{}"
LATEST = b"8\n7\njob\ntick\n{}"


@pytest.mark.parametrize("breaks", [b"one\ntwo\r\nthree\rfour", b"one\rtwo\nthree\r\nfour"])
def test_an_event_has_a_data_field_for_each_line(breaks):
    frame = sse.Frame.unpack("user-1", b"7\n5\n\nnote\n" + breaks)
    assert frame.wire == (
        b"id: user-1:7\nevent: note\ndata: one\ndata: two\ndata: three\ndata: four\n\n"
    )


def test_a_log_message_carries_the_cursor_and_a_latest_value_does_not():
    log = sse.Frame.unpack("user-1", LOG)
    latest = sse.Frame.unpack("user-1", LATEST)
    assert log.wire == b"id: user-1:7\nevent: note\ndata: {}\n\n"
    assert latest.wire == b"event: tick\ndata: {}\n\n"
    assert log.body == b"event: note\ndata: {}\n\n"
    assert latest.body == latest.wire


def test_a_batch_is_what_its_messages_are_one_after_the_other():
    frames = [sse.Frame.unpack("user-1", LOG), sse.Frame.unpack("user-1", LATEST)]
    batch = sse.Batch(frames)
    assert (batch.first, batch.last, batch.cursor) == (7, 8, 7)
    assert batch.wire == frames[0].wire + frames[1].wire
    assert sse.Batch(frames[1:]).cursor == 0


def test_a_batch_has_only_the_newest_value_of_a_key():
    ticks = [sse.Frame.unpack("user-1", b"%d\n7\n%b\ntick\n1" % (id, key))
             for id, key in [(8, b"a"), (9, b"b"), (10, b"a"), (11, b"a")]]  # fmt: skip
    batch = sse.Batch([sse.Frame.unpack("user-1", LOG), *ticks])
    assert [frame.id for frame in batch.frames] == [7, 9, 11]
    assert (batch.first, batch.last, batch.cursor) == (7, 11, 7)


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
