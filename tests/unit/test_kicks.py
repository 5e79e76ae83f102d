"""Rule 9: who may no longer read is cut off, in every process, within a second."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, login, logout
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.test import RequestFactory

from notifications import channels, storage
from notifications.hub import Hub
from notifications.kicks import kick
from notifications.permissions import Claim, Holder, session_digest, withdrawn
from tests.unit.test_subscription import Reader

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("live_redis"),
]


def logged_in(user) -> tuple[SessionStore, Holder]:
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session, Holder(str(user.pk), session.session_key, session[HASH_SESSION_KEY])


@pytest.fixture
def user() -> User:
    return User.objects.create_user("somebody", password="first")


@pytest.fixture
async def hubs(live_redis):
    """Two processes, as far as Redis can tell."""
    both = [Hub(), Hub()]
    yield both
    for hub in both:
        await hub.close()


async def open_streams(hubs, user, holder):
    readers = [Reader(hub, channels=(f"user-{user.pk}",), holder=holder) for hub in hubs]
    for reader in readers:
        await reader.until_type("stream-open")
    return readers


async def ended(readers, seconds=1.0) -> bool:
    _done, waiting = await asyncio.wait([reader._task for reader in readers], timeout=seconds)
    return not waiting


async def stop(readers):
    for reader in readers:
        await reader.close()


async def test_a_logout_ends_the_streams_of_that_session_and_no_other(hubs, user):
    session, holder = await sync_to_async(logged_in)(user)
    _, elsewhere = await sync_to_async(logged_in)(user)
    readers = await open_streams(hubs, user, holder)
    others = await open_streams(hubs, user, elsewhere)
    request = RequestFactory().get("/")
    request.session, request.user = session, user
    await sync_to_async(logout)(request)
    assert await ended(readers)
    error = readers[0].events[-1]
    assert (error.type, error.json["condition"], error.id) == ("stream-error", "forbidden", None)
    await asyncio.sleep(0.1)
    assert not any(reader._task.done() for reader in others)
    await stop(others)


@pytest.mark.parametrize("change", ["deactivate", "password", "delete"])
async def test_a_change_of_the_account_ends_all_its_streams(hubs, user, change):
    _, holder = await sync_to_async(logged_in)(user)
    readers = await open_streams(hubs, user, holder)

    def make_it():
        if change == "deactivate":
            user.is_active = False
            user.save()
        elif change == "password":
            user.set_password("second")
            user.save()
        else:
            user.delete()

    await sync_to_async(make_it)()
    assert await ended(readers)


async def test_a_withdrawn_right_ends_the_streams_that_needed_it(hubs, user, monkeypatch):
    def members_only(user, rest):
        return user is not None and user.groups.filter(name=rest).exists()

    monkeypatch.setitem(channels._owners, "club-", members_only)
    group = await Group.objects.acreate(name="readers")
    await user.groups.aadd(group)
    _, holder = await sync_to_async(logged_in)(user)
    readers = [Reader(hub, channels=("club-readers",), holder=holder) for hub in hubs]
    others = await open_streams(hubs, user, holder)
    for reader in readers:
        await reader.until_type("stream-open")
    await user.groups.aremove(group)
    assert await ended(readers)
    assert not any(reader._task.done() for reader in others)
    await stop(others)


async def test_what_changes_nothing_ends_nothing(hubs, user):
    _, holder = await sync_to_async(logged_in)(user)
    readers = await open_streams(hubs, user, holder)
    user.first_name = "Some"
    await user.asave()
    request = RequestFactory().get("/")
    request.session = SessionStore()
    await sync_to_async(login)(request, user, "django.contrib.auth.backends.ModelBackend")
    await asyncio.sleep(0.5)
    assert not any(reader._task.done() for reader in readers)
    await stop(readers)


async def test_a_site_can_kick_by_its_own_rules(hubs, user):
    _, holder = await sync_to_async(logged_in)(user)
    readers = await open_streams(hubs, user, holder)
    await sync_to_async(kick)(user)
    assert await ended(readers)


async def test_the_sweep_catches_what_was_not_said(hubs, user, settings):
    settings.NOTIFICATIONS_SWEEP_SECONDS = 1
    _, holder = await sync_to_async(logged_in)(user)
    readers = await open_streams(hubs, user, holder)
    await User.objects.filter(pk=user.pk).aupdate(is_active=False)  # sends no signal
    assert await ended(readers, seconds=4)


async def test_the_sweep_works_while_redis_is_away(hubs, user, settings, live_redis):
    settings.NOTIFICATIONS_SWEEP_SECONDS = 1
    _, holder = await sync_to_async(logged_in)(user)
    readers = await open_streams(hubs, user, holder)
    live_redis.kill()
    await User.objects.filter(pk=user.pk).aupdate(is_active=False)
    assert await ended(readers, seconds=4)


async def test_a_rolled_back_change_ends_nothing(hubs, user):
    from django.db import transaction

    _, holder = await sync_to_async(logged_in)(user)
    readers = await open_streams(hubs, user, holder)

    def change_your_mind():
        try:
            with transaction.atomic():
                user.is_active = False
                user.save()
                raise RuntimeError
        except RuntimeError:
            pass

    await sync_to_async(change_your_mind)()
    await asyncio.sleep(0.3)
    assert not any(reader._task.done() for reader in readers)
    await stop(readers)


# The check itself


def claim(holder, user) -> Claim:
    return Claim(holder, (f"user-{user.pk}",))


def test_a_claim_holds_until_the_session_ends(user):
    session, holder = logged_in(user)
    mine = claim(holder, user)
    assert withdrawn([mine]) == set()
    session.delete()
    assert withdrawn([mine]) == {mine}


def test_an_expired_session_is_no_session(user):
    session, holder = logged_in(user)
    session.set_expiry(-5)
    session.save()
    assert len(withdrawn([claim(holder, user)])) == 1


def test_sessions_outside_the_database_are_asked_one_by_one(user, settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    from django.contrib.sessions.backends.cache import SessionStore as CacheStore

    session = CacheStore()
    session[SESSION_KEY] = str(user.pk)
    session.save()
    holder = Holder(str(user.pk), session.session_key, user.get_session_auth_hash())
    mine = claim(holder, user)
    assert withdrawn([mine]) == set()
    session.delete()
    assert withdrawn([mine]) == {mine}


def test_many_claims_cost_few_queries(django_assert_max_num_queries):
    users = User.objects.bulk_create(User(username=f"u{n}") for n in range(600))
    claims = [claim(logged_in(user)[1], user) for user in users]
    with django_assert_max_num_queries(4):
        assert withdrawn(claims) == set()


def test_a_secret_key_that_was_rotated_ends_nothing(user, settings):
    _, holder = logged_in(user)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next one"
    assert withdrawn([claim(holder, user)]) == set()


def test_a_session_can_not_be_taken_over_with_what_a_kick_says(user):
    session, _ = logged_in(user)
    assert session.session_key not in session_digest(session.session_key)


def test_a_kick_that_can_not_be_said_does_not_break_the_logout(user, settings, caplog):
    session, _ = logged_in(user)
    settings.NOTIFICATIONS_REDIS_URL = "redis://127.0.0.1:1/0"
    request = RequestFactory().get("/")
    request.session, request.user = session, user
    logout(request)
    assert "end with the next sweep" in caplog.text


# Limits


async def test_one_stream_too_many_ends_the_users_oldest(hubs, user, settings):
    settings.NOTIFICATIONS_STREAMS_PER_USER = 2
    _, holder = await sync_to_async(logged_in)(user)
    readers = [reader for _ in range(3) for reader in await open_streams(hubs[:1], user, holder)]
    assert await ended(readers[:1])
    error = readers[0].events[-1]
    assert (error.type, error.json["condition"]) == ("stream-error", "too-many-streams")
    assert readers[0].parser.retry == 60_000
    storage.append(f"user-{user.pk}", "note", "{}")
    for reader in readers[1:]:
        await reader.until_type("note")
    await stop(readers[1:])
