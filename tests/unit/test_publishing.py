"""What a publisher may count on."""

import time

import pytest
from django.db import transaction

from notifications import storage
from notifications.exceptions import InvalidChannel, InvalidMessage, MessageTooLarge
from notifications.messages import Draft
from notifications.publishing import (
    publish,
    publish_many,
    publish_many_on_commit,
    publish_on_commit,
)

CHANNEL = "user-1"


def logged() -> list[tuple[str, str]]:
    return [(message.type, message.data) for message in storage.read(CHANNEL, 1).log]


def test_a_message_is_kept_and_its_id_returned(redis_client):
    id = publish(CHANNEL, "note", {"text": "größer"})
    [message] = storage.read(CHANNEL, 1).log
    assert (message.id, message.type, message.data) == (id, "note", '{"text":"größer"}')


def test_who_listens_is_told_in_the_same_step(redis_client):
    pubsub = redis_client.pubsub()
    pubsub.subscribe(storage.live_name(CHANNEL))
    assert pubsub.get_message(timeout=5)["type"] == "subscribe"
    id = publish(CHANNEL, "note", {})
    assert pubsub.get_message(timeout=5)["data"].split(b"\n")[0] == str(id).encode()
    pubsub.close()


def test_publishing_takes_one_round_trip(redis_client):
    publish(CHANNEL, "note", {})
    redis_client.config_resetstat()
    publish(CHANNEL, "note", {})
    # What the script calls is counted one by one, beside the one command that came in.
    commands = redis_client.info("commandstats")
    assert commands["cmdstat_evalsha"]["calls"] == 1
    assert redis_client.info("stats")["total_reads_processed"] == 3  # it, and these two INFOs


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("user 1", "note", {}), InvalidChannel),
        ((CHANNEL, "a\nb", {}), InvalidMessage),
        ((CHANNEL, "note", float("nan")), InvalidMessage),
        ((CHANNEL, "note", "x" * 70_000), MessageTooLarge),
    ],
)
def test_what_can_not_be_sent_is_refused_and_nothing_is_stored(redis_client, arguments, error):
    with pytest.raises(error):
        publish(*arguments)
    assert redis_client.dbsize() == 0


def test_an_empty_key_and_a_key_that_clears_are_refused(redis_client):
    with pytest.raises(InvalidMessage):
        publish(CHANNEL, "tick", {}, key="")
    with pytest.raises(InvalidMessage):
        publish(CHANNEL, "tick", {}, key="k", clear="other")


def test_many_messages_are_published_in_order_in_few_round_trips(redis_client):
    redis_client.config_resetstat()
    ids = publish_many(Draft(CHANNEL, "note", n) for n in range(1200))
    assert ids == sorted(set(ids))
    reads = redis_client.info("stats")["total_reads_processed"]
    assert reads < 60  # 16 KB at a time, not one for each message
    assert redis_client.xlen(storage.Keys.of(CHANNEL).log) == 1200
    assert [data for _, data in logged()] == [str(n) for n in range(500)]


def test_of_many_messages_none_is_sent_if_one_can_not_be(redis_client):
    with pytest.raises(InvalidMessage):
        publish_many([Draft(CHANNEL, "note", {}), Draft(CHANNEL, "note", {1, 2})])
    assert redis_client.dbsize() == 0


def test_publishing_nothing_says_nothing(redis_client):
    assert publish_many([]) == []
    assert redis_client.dbsize() == 0


@pytest.mark.django_db(transaction=True)
class TestOnCommit:
    def test_it_waits_for_the_commit(self, redis_client):
        with transaction.atomic():
            publish_on_commit(CHANNEL, "note", {"n": 1})
            assert logged() == []
        assert logged() == [("note", '{"n":1}')]

    def test_many_messages_wait_together(self, redis_client):
        with transaction.atomic():
            publish_many_on_commit(Draft(CHANNEL, "note", n) for n in range(3))
            assert logged() == []
        assert [data for _, data in logged()] == ["0", "1", "2"]

    def test_a_hanging_redis_holds_up_many_messages_once(self, live_redis, settings, caplog):
        settings.NOTIFICATIONS_REDIS_TIMEOUT_SECONDS = 0.5
        live_redis.freeze()
        try:
            started = time.monotonic()
            with transaction.atomic():
                publish_many_on_commit(Draft(CHANNEL, "note", n) for n in range(50))
            assert time.monotonic() - started < 3
        finally:
            live_redis.thaw()
        assert "was not published" in caplog.text

    def test_a_rollback_says_nothing(self, redis_client):
        with pytest.raises(RuntimeError), transaction.atomic():
            publish_on_commit(CHANNEL, "note", {})
            raise RuntimeError
        assert logged() == []

    def test_outside_a_transaction_it_is_sent_at_once(self, redis_client):
        publish_on_commit(CHANNEL, "note", {})
        assert logged() == [("note", "{}")]

    def test_the_data_is_as_it_was_when_said(self, redis_client):
        data = {"n": 1}
        with transaction.atomic():
            publish_on_commit(CHANNEL, "note", data)
            data["n"] = 2
        assert logged() == [("note", '{"n":1}')]

    def test_what_can_not_be_sent_raises_inside_the_transaction(self, redis_client):
        with pytest.raises(InvalidMessage), transaction.atomic():
            publish_on_commit(CHANNEL, "note", {1, 2})

    def test_without_redis_the_commit_stands_and_the_log_says_so(self, settings, caplog):
        settings.NOTIFICATIONS_REDIS_URL = "redis://127.0.0.1:1/0"
        with transaction.atomic():
            publish_on_commit(CHANNEL, "note", {})
        assert "was not published" in caplog.text

    def test_what_was_committed_without_redis_is_told_by_a_reset_when_it_is_back(
        self, live_redis, settings
    ):
        live_redis.kill()
        with transaction.atomic():
            publish_on_commit(CHANNEL, "note", {})
            publish_on_commit("user-2", "note", {})
        live_redis.start()
        assert_reset_within(5, CHANNEL)
        assert_reset_within(5, "user-2")

    def test_what_was_committed_while_redis_refused_is_told_by_a_reset(self, redis_client):
        publish(CHANNEL, "note", {})
        redis_client.config_set("maxmemory", "1")
        try:
            publish_on_commit(CHANNEL, "note", {"n": 2})
            time.sleep(1)
        finally:
            redis_client.config_set("maxmemory", "0")
        assert_reset_within(5, CHANNEL)


def assert_reset_within(seconds: float, channel: str) -> None:
    deadline = time.monotonic() + seconds
    while not [m for m in storage.read(channel, 1).log if m.type == "stream-reset"]:
        assert time.monotonic() < deadline, f"{channel} was not reset"
        time.sleep(0.05)
