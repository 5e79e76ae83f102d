"""What may be said, and how it is written."""

import datetime
import uuid
from decimal import Decimal

import pytest
from django.utils.translation import gettext_lazy

from notifications.exceptions import InvalidMessage, MessageTooLarge, NotificationsError
from notifications.messages import Message, check_message, encode_data


def test_data_may_be_what_django_writes_as_json():
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    text = encode_data(
        {"at": moment, "id": uuid.UUID(int=1), "sum": Decimal("1.50"), "t": gettext_lazy("Jobs")}
    )
    assert text == (
        '{"at":"2026-01-02T03:04:05Z","id":"00000000-0000-0000-0000-000000000001",'
        '"sum":"1.50","t":"Jobs"}'
    )


def circle() -> list:
    ring: list = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    "data", [float("nan"), float("inf"), {1, 2}, object(), b"bytes", "half \ud800", circle()]
)
def test_what_is_not_json_is_refused_by_name(data):
    with pytest.raises(InvalidMessage, match="must be JSON"):
        encode_data(data)


@pytest.mark.parametrize("type", ["", "two\nlines", "carriage\rreturn", "nul\0", "x" * 101, None])
def test_a_type_that_would_break_its_field_is_refused(type):
    with pytest.raises(InvalidMessage, match="type"):
        check_message(type, "{}")


@pytest.mark.parametrize("type", ["stream-open", "stream-reset", "stream-error", "keep-alive"])
def test_the_types_of_the_transport_are_not_for_publishers(type):
    with pytest.raises(InvalidMessage, match="transport"):
        check_message(type, "{}")


def test_a_key_with_a_line_break_is_refused():
    with pytest.raises(InvalidMessage, match="key"):
        check_message("tick", "{}", "a\nb")


def test_the_limit_counts_bytes_not_characters(settings):
    settings.NOTIFICATIONS_MESSAGE_MAX_BYTES = 1024
    check_message("fits", "x" * 1024)
    check_message("fits", "é" * 512)
    with pytest.raises(MessageTooLarge, match=r"1,025 bytes; the limit is 1,024"):
        check_message("over", "x" * 1025)
    with pytest.raises(MessageTooLarge):
        check_message("over", "é" * 513)


def test_all_errors_are_one_family():
    assert issubclass(MessageTooLarge, InvalidMessage)
    assert issubclass(InvalidMessage, NotificationsError)
    assert issubclass(InvalidMessage, ValueError)


def test_data_with_line_breaks_survives_packing():
    packed = "\n".join(["7", "5", "", "note", "one\ntwo\n"]).encode()
    assert Message.unpack("user-1", packed) == Message("user-1", 7, 5, "", "note", "one\ntwo\n")
