"""Resets that are owed: paid once, to the right streams, and soon after Redis is back."""

import json
import os
import threading
import time

import pytest

from notifications import resets, storage
from tests.support.waiting import wait_until

FIRST_SECONDS = 0.1
LAST_SECONDS = 0.3
SOON_SECONDS = 4.0  # a wait that grew without bound would be over after 7

pytestmark = pytest.mark.usefixtures("redis_client")


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """No thread of another test, and short waits."""
    monkeypatch.setattr(resets, "_payer", None)
    monkeypatch.setattr(resets, "RETRY_FIRST_SECONDS", FIRST_SECONDS)
    monkeypatch.setattr(resets, "RETRY_LAST_SECONDS", LAST_SECONDS)


def reset_in(channel: str) -> list[dict]:
    log = storage.read(channel, 1).log
    return [json.loads(m.data) for m in log if m.type == "stream-reset"]


def test_each_channel_is_reset_by_its_name():
    resets.owe(["user-1", "user-2"])
    for channel in ("user-1", "user-2"):
        found = wait_until(lambda: reset_in(channel), SOON_SECONDS)  # noqa: B023
        assert found == [{"channels": [channel]}]


def test_what_was_paid_is_not_paid_again():
    resets.owe(["user-1"])
    wait_until(lambda: reset_in("user-1"), SOON_SECONDS)
    payer = resets._payer[1]
    payer.join(SOON_SECONDS)
    assert not payer.is_alive()
    assert len(reset_in("user-1")) == 1


def test_after_a_long_time_without_redis_it_comes_as_soon(live_redis):
    live_redis.kill()
    resets.owe(["user-1"])
    time.sleep(15 * FIRST_SECONDS)
    live_redis.start()
    wait_until(lambda: reset_in("user-1"), SOON_SECONDS)


def test_a_process_that_was_forked_pays_by_itself(monkeypatch):
    """It has the parent's memory, and none of its threads, however they look."""
    resting = threading.Event()
    thread = threading.Thread(target=resting.wait)
    thread.start()
    monkeypatch.setattr(resets, "_payer", (os.getpid() + 1, thread))
    try:
        resets.owe(["user-1"])
        wait_until(lambda: reset_in("user-1"), SOON_SECONDS)
    finally:
        resting.set()
        thread.join()
