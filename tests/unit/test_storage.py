"""Ids, the two kinds of message, retention and the proof of a cursor, against a real Redis."""

import time

import pytest

from notifications import storage
from notifications.exceptions import PublishFailed, RedisUnavailable

pytestmark = pytest.mark.usefixtures("redis_client")

CHANNEL = "user-1"


def append(type="note", text="{}", **kwargs) -> int:
    return storage.append(CHANNEL, type, text, **kwargs)


def test_ids_are_redis_time_in_microseconds_and_only_rise(redis_client):
    seconds, micros = redis_client.time()
    ids = [append() for _ in range(50)]
    assert ids == sorted(set(ids))
    assert 0 <= ids[0] - (seconds * 1_000_000 + micros) < 5_000_000
    assert ids[-1] < 2**53


def test_a_clock_that_goes_back_does_not_take_the_ids_with_it(redis_client):
    future = int(time.time() * 1_000_000) + 3_600_000_000
    redis_client.hset(storage.Keys.of(CHANNEL).head, mapping={"id": future, "log": future - 5})
    assert append() == future + 1
    assert append(key="k") == future + 2


def test_ids_go_on_after_redis_has_lost_everything(redis_client):
    before = append()
    redis_client.flushall()
    assert append() > before


def test_ids_go_on_after_the_head_alone_is_lost(redis_client):
    before = append()
    redis_client.delete(storage.Keys.of(CHANNEL).head)
    after = append()
    assert after > before
    page = storage.read(CHANNEL, before)
    assert page.proven
    assert [message.id for message in page.log] == [after]


def test_every_message_names_the_log_message_before_it():
    first, tick, second = append(), append(key="k"), append()
    page = storage.read(CHANNEL, first)
    assert [(m.id, m.prev) for m in page.log] == [(second, first)]
    assert [(m.id, m.prev) for m in page.latest] == [(tick, first)]


def test_a_latest_value_replaces_the_one_before_and_is_not_in_the_log():
    first = append()
    append(text="1", key="k")
    append(text="2", key="k")
    append(text="3", key="other")
    page = storage.read(CHANNEL, first)
    assert page.log == []
    assert [(m.key, m.data) for m in page.latest] == [("k", "2"), ("other", "3")]
    assert {k: m.data for k, m in storage.latest_values(CHANNEL).items()} == {
        "k": "2",
        "other": "3",
    }


def test_a_log_message_can_end_a_latest_value():
    append(text="1", key="k")
    append("done", clear="k")
    assert storage.latest_values(CHANNEL) == {}


def test_an_old_latest_value_has_expired_though_others_are_fresh(redis_client, settings):
    settings.NOTIFICATIONS_RETENTION_SECONDS = 60
    old = int((time.time() - 61) * 1_000_000)
    latest = storage.Keys.of(CHANNEL).latest
    append(key="fresh")
    redis_client.hset(latest, "old", f"{old}\n0\nold\ntick\n{{}}")
    assert list(storage.latest_values(CHANNEL)) == ["fresh"]


def test_the_log_is_kept_for_the_retention_and_the_head_for_longer(redis_client, settings):
    settings.NOTIFICATIONS_RETENTION_SECONDS = 60
    append()
    append(key="k")
    keys = storage.Keys.of(CHANNEL)
    assert 59_000 < redis_client.pttl(keys.log) <= 60_000
    assert 59_000 < redis_client.pttl(keys.latest) <= 60_000
    assert redis_client.pttl(keys.head) > 400_000


def test_the_log_has_a_cap_on_its_length(redis_client, settings):
    settings.NOTIFICATIONS_LOG_LENGTH = 100
    for _ in range(500):
        append()
    # Redis drops whole nodes of 100 entries.
    assert 100 <= redis_client.xlen(storage.Keys.of(CHANNEL).log) <= 200


# The proof of a cursor


def test_a_cursor_in_the_log_is_proven():
    first, second, third = append(), append(), append()
    page = storage.read(CHANNEL, first)
    assert page.proven
    assert [message.id for message in page.log] == [second, third]


def test_a_cursor_at_the_end_of_the_log_is_proven_though_the_log_is_trimmed_away(redis_client):
    append()
    last = append()
    redis_client.xtrim(storage.Keys.of(CHANNEL).log, maxlen=0, approximate=False)
    assert storage.read(CHANNEL, last).proven


def test_a_cursor_that_the_next_entry_names_is_proven_though_its_own_is_trimmed(redis_client):
    first, second = append(), append()
    redis_client.xdel(storage.Keys.of(CHANNEL).log, f"{first}-0")
    page = storage.read(CHANNEL, first)
    assert page.proven
    assert [message.id for message in page.log] == [second]


def test_a_cursor_before_a_trimmed_part_is_not_proven(redis_client):
    first, second, third = append(), append(), append()
    redis_client.xtrim(storage.Keys.of(CHANNEL).log, maxlen=1, approximate=False)
    page = storage.read(CHANNEL, first)
    assert not page.proven
    assert [message.id for message in page.log] == [third]
    assert page.reset_id == second


@pytest.mark.parametrize("messages_after", [0, 1, 3])
def test_a_cursor_from_before_a_loss_of_everything_is_not_proven(redis_client, messages_after):
    last = [append() for _ in range(3)][-1]
    redis_client.flushall()
    after = [append() for _ in range(messages_after)]
    page = storage.read(CHANNEL, last)
    assert not page.proven
    assert [message.id for message in page.log] == after


def test_a_cursor_of_a_channel_without_messages_tells_a_loss_from_a_beginning(redis_client):
    cursor = storage.cursors([CHANNEL])[CHANNEL]
    assert storage.read(CHANNEL, cursor).proven
    first = append()
    assert storage.read(CHANNEL, cursor).proven
    redis_client.flushall()
    append()
    assert not storage.read(CHANNEL, cursor).proven
    assert cursor < first


def test_a_cursor_from_a_history_that_was_rewound_is_not_proven(redis_client):
    append()
    keys = storage.Keys.of(CHANNEL)
    snapshot = {key: redis_client.dump(key) for key in (keys.log, keys.head)}
    lost = append()
    for key, value in snapshot.items():
        redis_client.restore(key, 0, value, replace=True)
    assert not storage.read(CHANNEL, lost).proven
    after = append()
    page = storage.read(CHANNEL, lost)
    assert not page.proven
    assert [message.id for message in page.log] == [after]


def test_a_cursor_from_the_future_is_not_proven():
    append()
    page = storage.read(CHANNEL, 2**53 - 1)
    assert not page.proven
    assert page.log == []


def test_a_long_log_is_read_in_pages(monkeypatch):
    monkeypatch.setattr(storage, "PAGE_LENGTH", 10)
    start = storage.cursors([CHANNEL])[CHANNEL]
    ids = [append() for _ in range(25)]
    read, after, pages = [], start, 0
    while True:
        page = storage.read(CHANNEL, after)
        assert page.proven
        read += [message.id for message in page.log]
        after, pages = read[-1], pages + 1
        if not page.more:
            break
    assert read == ids
    assert pages == 3


def test_both_kinds_come_in_order_and_newer_values_wait_for_the_last_page(monkeypatch):
    monkeypatch.setattr(storage, "PAGE_LENGTH", 2)
    start = storage.cursors([CHANNEL])[CHANNEL]
    a, early, b, c, late = append(), append(key="e"), append(), append(), append(key="l")
    page = storage.read(CHANNEL, start)
    assert page.more
    assert [m.id for m in storage.in_order(page, 0)] == [a, early, b]
    page = storage.read(CHANNEL, b)
    assert not page.more
    assert [m.id for m in storage.in_order(page, b)] == [c, late]


# Redis is away, or refuses


def test_an_unreachable_redis_is_a_clear_error_without_the_password(settings):
    settings.NOTIFICATIONS_REDIS_URL = "redis://:secret@127.0.0.1:1/0"
    with pytest.raises(PublishFailed, match=r"redis://:\*\*\*@127\.0\.0\.1:1/0") as caught:
        append()
    assert "secret" not in str(caught.value)
    with pytest.raises(RedisUnavailable, match="NOTIFICATIONS_REDIS_URL"):
        storage.cursors([CHANNEL])


def test_a_redis_that_is_full_refuses_clearly_and_still_answers_readers(redis_client):
    first = append()
    redis_client.config_set("maxmemory", "1")
    try:
        with pytest.raises(PublishFailed, match="takes writes"):
            append()
        assert storage.read(CHANNEL, first).proven
        assert storage.cursors([CHANNEL]) == {CHANNEL: first}
    finally:
        redis_client.config_set("maxmemory", "0")
    assert append() > first
