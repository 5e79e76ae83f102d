"""Which events of Django are said to all processes as kicks: of whom, and not before the commit."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth import login
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.test import RequestFactory
from redis import Redis

from notifications import storage

pytestmark = pytest.mark.django_db(transaction=True)

END = "the end"


@pytest.fixture
def user() -> User:
    return User.objects.create_user("somebody", password="first")


@pytest.fixture
def said(redis_client: Redis, user: User) -> Iterator[Callable[[], list[str]]]:
    """Return what has been said since the last call, as "check of 42"."""
    with redis_client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(storage.kick_name())
        listener.get_message(timeout=5)

        def read() -> list[str]:
            redis_client.publish(storage.kick_name(), END)
            texts = []
            for message in listener.listen():
                if message["data"].decode() == END:
                    return texts
                texts.append(" of ".join(message["data"].decode().split("\n")))
            raise AssertionError

        yield read


def test_a_change_of_the_account_is_said_when_it_is_committed(said, user):
    with transaction.atomic():
        user.is_active = False
        user.save()
        assert said() == []
    assert said() == [f"check of {user.pk}"]


def test_a_deleted_user_is_named_by_the_key_that_was(said, user):
    pk = user.pk
    with transaction.atomic():
        user.delete()
        assert said() == []
    assert said() == [f"all of {pk}"]


def test_neither_a_new_account_nor_a_login_is_said(said, user):
    User.objects.create_user("another")
    request = RequestFactory().get("/")
    request.session = SessionStore()
    login(request, user, "django.contrib.auth.backends.ModelBackend")
    assert said() == []


CHANGES = {
    "user gets a group": lambda user, group, permission: user.groups.add(group),
    "user loses a group": lambda user, group, permission: user.groups.remove(group),
    "user loses all groups": lambda user, group, permission: user.groups.clear(),
    "group gets the user": lambda user, group, permission: group.user_set.add(user),
    "group loses the user": lambda user, group, permission: group.user_set.remove(user),
    "user gets a permission": lambda user, group, permission: user.user_permissions.add(permission),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_groups_or_permissions_is_said_when_it_is_committed(said, user, change):
    group, permission = Group.objects.create(name="readers"), Permission.objects.first()
    if "loses" in change:
        user.groups.add(group)
        said()
    with transaction.atomic():
        CHANGES[change](user, group, permission)
        assert said() == []
    assert said() == [f"check of {user.pk}"]
