"""
One stream from its cursor through the log to live messages: rules 3 to 7 of the contract, with a
real Redis and a real hub, without HTTP.
"""

import asyncio

import pytest

from notifications import hub as hub_module
from notifications import storage, subscription
from notifications.hub import Hub
from tests.support.reader import CHANNEL, Reader, append, cursor_of

pytestmark = [pytest.mark.usefixtures("redis_client"), pytest.mark.asyncio]


@pytest.fixture
async def hub(redis_client):
    hub = Hub()
    yield hub
    await hub.close()


@pytest.fixture
async def read(hub):
    readers = []

    def start(*args, **kwargs):
        readers.append(Reader(hub, *args, **kwargs))
        return readers[-1]

    yield start
    for reader in readers:
        await reader.close()


async def test_a_new_stream_opens_with_the_cursor_of_now(read):
    last = append()
    reader = read()
    opened = await reader.until_type("stream-open")
    assert opened.id == f"{CHANNEL}:{last}"
    assert reader.types() == ["stream-open"]


async def test_live_messages_carry_the_cursor_and_latest_values_do_not(read):
    reader = read()
    await reader.until_type("stream-open")
    id = append(text='"log"')
    append("tick", '"latest"', key="k")
    tick = await reader.until_type("tick")
    note = await reader.until_type("note")
    assert note.id == f"{CHANNEL}:{id}"
    assert tick.id is None
    assert reader.types() == ["stream-open", "note", "tick"]


async def test_a_proven_cursor_is_followed_by_exactly_what_came_after_it(read):
    first = append(text="1")
    append(text="2")
    append(text="3")
    reader = read(cursor_of(first))
    await reader.until_type("note", 2)
    append(text="4")
    await reader.until_type("note", 3)
    assert reader.types() == ["stream-open", "note", "note", "note"]
    assert reader.data() == ["2", "3", "4"]
    assert reader.events[0].id == f"{CHANNEL}:{first}"


async def test_all_latest_values_are_sent_on_every_open(read):
    append("tick", "1", key="a")
    append("tick", "2", key="a")
    append("tick", "3", key="b")
    first = append()
    for cursor in (None, cursor_of(first)):
        reader = read(cursor)
        await reader.until_type("tick", 2)
        assert reader.data("tick") == ["2", "3"]


@pytest.mark.parametrize("cursor", [{}, {"other": 5}, {CHANNEL: 2**53 - 1}])
async def test_garbage_gives_a_reset_and_then_live_messages(read, cursor):
    append(text="before")
    reader = read(cursor)
    reset = await reader.until_type("stream-reset")
    assert reset.json == {"channels": [CHANNEL]}
    append(text="after")
    await reader.until_type("note")
    assert reader.types() == ["stream-open", "stream-reset", "note"]
    assert reader.data() == ["after"]


async def test_a_trimmed_cursor_gives_a_reset_and_then_what_is_left(read, redis_client):
    first = append(text="1")
    append(text="2")
    append(text="3")
    redis_client.xtrim(storage.Keys.of(CHANNEL).log, maxlen=1, approximate=False)
    reader = read(cursor_of(first))
    await reader.until_type("note")
    assert reader.types() == ["stream-open", "stream-reset", "note"]
    assert reader.data() == ["3"]


async def test_until_the_reset_has_arrived_the_client_keeps_its_old_cursor(read, redis_client):
    first = append()
    append()
    append()
    redis_client.xtrim(storage.Keys.of(CHANNEL).log, maxlen=1, approximate=False)
    reader = read(cursor_of(first))
    await reader.until_type("note")
    opened, reset, note = reader.events
    assert opened.id is None
    # From the reset's own id on nothing is missing, should the connection break right after it.
    id = int(reset.id.rpartition(":")[2])
    assert storage.read(CHANNEL, id).proven
    assert [f"{CHANNEL}:{m.id}" for m in storage.read(CHANNEL, id).log] == [note.id]


async def test_a_stream_of_several_channels_has_all_of_them_in_its_cursor(read):
    one, two = append(channel="user-1"), append(channel="room-2")
    reader = read(channels=("user-1", "room-2"))
    opened = await reader.until_type("stream-open")
    assert opened.id == f"user-1:{one},room-2:{two}"
    three = append(channel="room-2")
    note = await reader.until_type("note")
    assert note.id == f"room-2:{three},user-1:{one}"


async def test_in_a_stream_of_several_channels_a_message_names_its_own_first(read):
    one, two = append(channel="user-1"), append(channel="room-2")
    append("tick", '"latest"', channel="room-2", key="k")
    reader = read({"user-1": one, "room-2": two}, channels=("user-1", "room-2"))
    tick = await reader.until_type("tick")
    assert tick.id == f"room-2:{two},user-1:{one}"  # and the cursor stays where it was
    append("tick", '"latest"', channel="user-1", key="k")
    tick = await reader.until_type("tick", 2)
    assert tick.id == f"user-1:{one},room-2:{two}"


async def test_refused_channels_are_named_in_a_reset_that_keeps_the_cursor(read):
    first = append(text="1")
    append(text="2")
    reader = read(cursor_of(first), refused=["theirs"])
    await reader.until_type("note")
    assert reader.types() == ["stream-open", "stream-reset", "note"]
    opened, reset, note = reader.events
    assert reset.json == {"channels": ["theirs"]}
    assert opened.id == reset.id == f"{CHANNEL}:{first}"
    assert note.data == "2"


async def test_only_the_unproven_channel_is_reset(read):
    one = append(channel="user-1")
    append(channel="room-2")
    reader = read({"user-1": one}, channels=("user-1", "room-2"))
    reset = await reader.until_type("stream-reset")
    assert reset.json == {"channels": ["room-2"]}


async def test_replay_in_pages_misses_and_repeats_nothing_while_messages_arrive(read, monkeypatch):
    monkeypatch.setattr(storage, "PAGE_LENGTH", 7)
    start = storage.cursors([CHANNEL])[CHANNEL]
    for n in range(100):
        append(text=str(n))
    reader = read(cursor_of(start))
    for n in range(100, 200):
        await asyncio.to_thread(append, text=str(n))
    await reader.until_type("note", 200)
    assert reader.data() == [str(n) for n in range(200)]
    assert "stream-reset" not in reader.types()


async def test_a_burst_arrives_whole_and_in_order_on_every_stream(read):
    readers = [read() for _ in range(20)]
    for reader in readers:
        await reader.until_type("stream-open")

    def burst():
        for n in range(500):
            append(text=str(n))

    await asyncio.to_thread(burst)
    for reader in readers:
        await reader.until_type("note", 500)
        assert reader.data() == [str(n) for n in range(500)]
        assert reader.types().count("stream-reset") == 0


async def test_of_the_latest_values_that_wait_only_the_newest_is_sent(read):
    reader = read()
    await reader.until_type("stream-open")
    reader.reading.clear()  # the socket takes nothing: the next chunk is the last for now
    append(text="1")
    await reader.until_type("note")
    for n in range(50):
        append("tick", str(n), key="k")
    append(text="2")
    await asyncio.sleep(0.2)
    reader.reading.set()
    await reader.until_type("note", 2)
    assert reader.data("tick") == ["49"]
    assert reader.types()[-2:] == ["tick", "note"]


async def test_a_full_buffer_falls_back_to_the_log(read, settings):
    settings.NOTIFICATIONS_BUFFER_MAX_BYTES = 64 * 1024
    reader = read()
    await reader.until_type("stream-open")
    reader.reading.clear()
    append(text="0")
    await reader.until_type("note")
    padding = "x" * 1000
    await asyncio.to_thread(lambda: [append(text=f"{n} {padding}") for n in range(1, 400)])
    await asyncio.sleep(0.2)
    assert reader.subscription._size <= 64 * 1024
    reader.reading.set()
    append(text="400")
    await reader.until_type("note", 401)
    assert [int(data.split()[0]) for data in reader.data()] == list(range(401))
    assert "stream-reset" not in reader.types()


# Gaps in the live flow (rule 5)


def publish_unheard(redis_client, **kwargs) -> int:
    """Store a message of which Pub/Sub says nothing, as when its buffer overflows."""
    keys = storage.Keys.of(CHANNEL)
    script = storage.PUBLISH.text.replace("redis.call('PUBLISH', live, packed)", "")
    arguments = [keys.live, "note", kwargs.get("text", "{}"), kwargs.get("key", ""), ""]
    return int(
        redis_client.eval(
            script, 3, keys.log, keys.latest, keys.head, *arguments, 1000, 3_600_000, 3_600_000
        )
    )


async def test_a_message_that_was_not_heard_is_read_before_the_next(read, redis_client):
    reader = read()
    await reader.until_type("stream-open")
    append(text="1")
    publish_unheard(redis_client, text="2")
    publish_unheard(redis_client, text="3")
    append(text="4")
    await reader.until_type("note", 4)
    assert reader.data() == ["1", "2", "3", "4"]
    assert "stream-reset" not in reader.types()


async def test_a_tick_uncovers_a_gap_too(read, redis_client):
    reader = read()
    await reader.until_type("stream-open")
    publish_unheard(redis_client, text="1")
    append("tick", key="k")
    await reader.until_type("tick")
    assert reader.types() == ["stream-open", "note", "tick"]


async def test_a_gap_that_the_log_can_not_close_resets_the_streams(read, redis_client):
    reader = read()
    await reader.until_type("stream-open")
    append(text="1")
    await reader.until_type("note")
    publish_unheard(redis_client, text="2")
    publish_unheard(redis_client, text="3")
    redis_client.xtrim(storage.Keys.of(CHANNEL).log, maxlen=1, approximate=False)
    append(text="4")
    await reader.until_type("note", 3)
    assert reader.types() == ["stream-open", "note", "stream-reset", "note", "note"]
    assert reader.data() == ["1", "3", "4"]


async def test_a_deaf_pubsub_is_noticed_without_a_next_message(read, redis_client, settings):
    settings.NOTIFICATIONS_RESYNC_SECONDS = 1
    reader = read()
    await reader.until_type("stream-open")
    publish_unheard(redis_client, text="1")
    await reader.until_type("note", seconds=4)
    publish_unheard(redis_client, key="k", text="2")
    await reader.until_type("note", 2, seconds=4)
    assert reader.data() == ["1", "2"]


async def test_a_channel_that_is_quiet_is_not_reset_by_the_comparison(read, settings):
    settings.NOTIFICATIONS_RESYNC_SECONDS = 1
    reader = read()
    await reader.until_type("stream-open")
    await asyncio.sleep(2.5)
    assert reader.types() == ["stream-open"]


async def test_a_hub_whose_last_stream_has_closed_compares_nothing_and_holds_up_nobody(
    hub, read, settings, caplog
):
    settings.NOTIFICATIONS_RESYNC_SECONDS = 0.01
    settings.NOTIFICATIONS_REDIS_TIMEOUT_SECONDS = 0.5
    first = read()
    await first.until_type("stream-open")
    await first.close()
    assert await storage.aheads([]) == []
    for _ in range(20):  # far more comparisons than that
        last = append()
        assert await storage.aheads([CHANNEL]) == [last]
        await asyncio.sleep(0.02)
    assert "paused" not in caplog.text


async def test_a_lost_connection_is_made_up_for(read, redis_client):
    reader = read()
    await reader.until_type("stream-open")
    append(text="1")
    await reader.until_type("note")
    redis_client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    append(text="2")
    await reader.until_type("note", 2)
    await reader.until_type("stream-live")
    append(text="3")
    await reader.until_type("note", 3)
    assert reader.data() == ["1", "2", "3"]
    assert reader.types().count("stream-paused") == 1
    assert "stream-reset" not in reader.types()


async def test_a_loss_of_everything_resets_open_streams(read, redis_client):
    reader = read()
    await reader.until_type("stream-open")
    append(text="1")
    await reader.until_type("note")
    redis_client.flushall()
    append(text="2")
    await reader.until_type("note", 2)
    assert reader.types() == ["stream-open", "note", "stream-reset", "note"]


async def test_garbage_on_the_channel_from_a_stranger_ends_no_stream(read, redis_client):
    reader = read()
    await reader.until_type("stream-open")
    redis_client.publish(storage.live_name(CHANNEL), b"\xff not ours")
    append(text="1")
    await reader.until_type("note")
    assert reader.data() == ["1"]


async def test_a_redis_that_refuses_writes_pauses_nobody(read, redis_client):
    reader = read()
    await reader.until_type("stream-open")
    redis_client.config_set("maxmemory", "1")
    try:
        late = read(channels=("user-2",))
        await late.until_type("stream-open")
        assert "stream-paused" not in reader.types() + late.types()
    finally:
        redis_client.config_set("maxmemory", "0")
    append(channel="user-2")
    append(text="1")
    await late.until_type("note")
    await reader.until_type("note")


# Coming and going


async def test_keep_alives_come_while_nothing_else_does(read, settings):
    settings.NOTIFICATIONS_KEEP_ALIVE_SECONDS = 1
    reader = read()
    await reader.until_type("keep-alive", 2, seconds=5)


async def test_a_stream_that_opens_while_redis_is_away_says_so_and_recovers(
    hub, read, settings, redis_client
):
    url = settings.NOTIFICATIONS_REDIS_URL
    settings.NOTIFICATIONS_REDIS_URL = "redis://127.0.0.1:1/0"
    reader = read()
    paused = await reader.until_type("stream-paused")
    assert paused.json == {"reason": "redis"}
    settings.NOTIFICATIONS_REDIS_URL = url
    await reader.until_type("stream-open")
    await reader.until_type("stream-live")
    append(text="1")
    await reader.until_type("note")


async def test_draining_ends_each_stream_with_a_spread_retry(hub, read):
    readers = [read() for _ in range(10)]
    for reader in readers:
        await reader.until_type("stream-open")
    hub.drain()
    async with asyncio.timeout(2):
        await asyncio.gather(*(reader._task for reader in readers))
    retries = {reader.parser.retry for reader in readers}
    assert all(
        subscription.RETRY_FIRST_MS <= retry <= subscription.RETRY_LAST_MS for retry in retries
    )
    assert len(retries) > 1
    late = read()
    async with asyncio.timeout(2):
        await late._task


async def test_a_channel_without_streams_is_forgotten(hub, read, redis_client):
    reader = read()
    await reader.until_type("stream-open")
    assert redis_client.pubsub_numsub(storage.live_name(CHANNEL))[0][1] == 1
    await reader.close()
    async with asyncio.timeout(5):
        while redis_client.pubsub_numsub(storage.live_name(CHANNEL))[0][1]:
            await asyncio.sleep(0.01)
    assert hub._channels == {}


async def test_streams_that_come_and_go_quickly_lose_nothing(read):
    for round in range(30):
        reader = read()
        await reader.until_type("stream-open")
        append(text=str(round))
        await reader.until_type("note")
        await reader.close()


async def test_all_streams_share_one_subscribed_connection(read, redis_client):
    readers = [read(channels=(f"user-{n}",)) for n in range(50)]
    for reader in readers:
        await reader.until_type("stream-open")
    clients = redis_client.client_list()
    # One for each channel, and one for kicks.
    assert [int(client["sub"]) for client in clients if int(client["sub"])] == [51]


async def test_the_stash_of_a_channel_is_bounded(read, monkeypatch, redis_client):
    monkeypatch.setattr(hub_module, "STASH_LENGTH", 5)
    reader = read()
    await reader.until_type("stream-open")
    for n in range(100):
        publish_unheard(redis_client, text="unheard")
        append(text=str(n))
    await reader.until_type("note", 200)
    assert [data for data in reader.data() if data != "unheard"] == [str(n) for n in range(100)]
