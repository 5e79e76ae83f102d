"""What a stream's holder must still be for the stream to go on."""

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from django.test import RequestFactory

from notifications import channels
from notifications.permissions import Claim, Holder, withdrawn

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return User.objects.create_user("somebody")


@pytest.fixture(autouse=True)
def news(monkeypatch):
    """A prefix of channels that everybody may read, and that looks at no account."""
    monkeypatch.setitem(channels._owners, "news-", lambda user, rest: True)


def test_a_user_who_is_inactive_or_gone_reads_nothing_whatever_the_owner_says(user):
    mine = Claim(Holder(str(user.pk)), ("news-1",))
    assert withdrawn([mine]) == set()
    User.objects.update(is_active=False)
    assert withdrawn([mine]) == {mine}
    user.delete()
    assert withdrawn([mine]) == {mine}


def test_all_channels_of_a_stream_must_be_readable(user):
    claims = {
        Claim(Holder(str(user.pk)), (f"user-{user.pk}", "news-1")),
        both := Claim(Holder(str(user.pk)), ("news-1", "user-0")),
    }
    assert withdrawn(claims) == {both}


def test_a_visitor_reads_what_is_open_to_all():
    claims = {Claim(Holder(), ("news-1",)), refused := Claim(Holder(), ("user-1",))}
    assert withdrawn(claims) == {refused}


def test_a_holder_is_the_user_and_the_session_of_the_request(user, client):
    client.force_login(user)
    request = RequestFactory().get("/")
    request.session, request.user = client.session, user
    holder = Holder.of(request)
    assert (holder.user, holder.session) == (str(user.pk), client.session.session_key)
    assert holder.login == user.get_session_auth_hash()
    assert withdrawn([Claim(holder, (f"user-{user.pk}",))]) == set()


def test_a_visitor_holds_as_nobody():
    request = RequestFactory().get("/")
    request.session, request.user = SessionStore(), AnonymousUser()
    assert Holder.of(request) == Holder()
