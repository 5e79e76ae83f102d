"""Whose channel it is, and who may read it."""

import pytest
from django.contrib.auth.models import AnonymousUser, User

from notifications import channels
from notifications.exceptions import InvalidChannel


def test_a_user_reads_the_own_channel_and_no_other():
    user = User(pk=42)
    assert channels.user_channel(user) == channels.user_channel(42) == "user-42"
    assert channels.may_read(user, "user-42")
    assert not channels.may_read(user, "user-4")
    assert not channels.may_read(user, "user-421")
    assert not channels.may_read(user, "user-42 ")


def test_a_staff_member_may_not_read_what_is_another_persons():
    assert not channels.may_read(User(pk=1, is_staff=True, is_superuser=True), "user-42")


def test_a_deactivated_user_and_a_visitor_read_nothing():
    assert not channels.may_read(User(pk=42, is_active=False), "user-42")
    assert not channels.may_read(AnonymousUser(), "user-42")
    assert not channels.may_read(AnonymousUser(), "user-None")
    assert not channels.may_read(None, "user-42")


def test_a_channel_that_nobody_owns_is_read_by_nobody():
    assert not channels.may_read(User(pk=42, is_superuser=True), "weather")


def test_the_longest_prefix_owns_a_channel(monkeypatch):
    monkeypatch.setattr(channels, "_owners", {})
    channels.register("room-", lambda user, rest: True)
    channels.register("room-secret-", lambda user, rest: False)
    assert channels.may_read(None, "room-1")
    assert not channels.may_read(None, "room-secret-1")


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "{a}", "x" * 201, "nul\0", None, 42])
def test_a_name_that_no_key_can_hold_is_refused(name):
    with pytest.raises(InvalidChannel, match="user-42"):
        channels.check_channel(name)
