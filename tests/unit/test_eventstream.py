"""django-eventstream's own functions, carried by this transport."""

import pytest
from django_eventstream import get_current_event_id, send_event
from django_eventstream.storage import EventDoesNotExist
from django_eventstream.utils import get_channelmanager, get_storage

from notifications import eventstream, storage
from notifications.exceptions import InvalidMessage, MessageTooLarge

CHANNEL = "user-1"


def test_the_settings_name_our_classes():
    assert isinstance(get_storage(), eventstream.Storage)
    assert isinstance(get_channelmanager(), eventstream.ChannelManager)


def test_send_event_publishes_a_log_message(redis_client):
    send_event(CHANNEL, "message", {"text": "hello"})
    [message] = storage.read(CHANNEL, 1).log
    assert (message.type, message.data) == ("message", '{"text": "hello"}')


def test_send_event_takes_text_that_is_not_json_too(redis_client):
    send_event(CHANNEL, "message", "two\nlines", json_encode=False)
    [message] = storage.read(CHANNEL, 1).log
    assert message.data == "two\nlines"


def test_send_event_refuses_what_the_wire_can_not_hold(redis_client):
    with pytest.raises(InvalidMessage):
        send_event(CHANNEL, "a\nb", {})
    with pytest.raises(MessageTooLarge):
        send_event(CHANNEL, "message", {"text": "x" * 70_000})


def test_the_storage_interface_reads_what_was_sent(redis_client):
    ours = get_storage()
    first = ours.append_event(CHANNEL, "message", '"one"')
    second = ours.append_event(CHANNEL, "message", '"two"')
    assert [event.id for event in ours.get_events(CHANNEL, first.id)] == [second.id]
    assert ours.get_current_id(CHANNEL) == second.id
    assert get_current_event_id([CHANNEL]) == f"{CHANNEL}:{second.id}"
    with pytest.raises(EventDoesNotExist):
        ours.get_events(CHANNEL, first.id - 1)


def test_reading_is_denied_unless_allowed():
    assert not get_channelmanager().can_read_channel(None, CHANNEL)
    assert not get_channelmanager().can_read_channel(None, "anything")
