"""
Who holds a stream, and whether that is still right.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, get_user_model
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django_eventstream.utils import get_channelmanager

QUERY_LENGTH = 500  # users or sessions in one query


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose stream it is: what the view saw when it allowed it. ``user`` is "" for a visitor."""

    user: str = ""
    session: str = ""  # the session's key
    login: str = ""  # the hash of the login in it, which changes with the password

    @classmethod
    def of(cls, request: HttpRequest) -> "Holder":
        if not request.user.is_authenticated:
            return cls()
        key = request.session.session_key or ""
        return cls(str(request.user.pk), key, request.session.get(HASH_SESSION_KEY, ""))


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be checked again: a holder and the channels of the stream."""

    holder: Holder
    channels: tuple[str, ...]


def session_digest(key: str) -> str:
    """Return what stands for a session in messages; a session can't be taken over with it."""
    return hashlib.sha256(key.encode()).hexdigest()


def withdrawn(claims: Iterable[Claim]) -> set[Claim]:
    """
    Return those of ``claims`` that no longer hold.

    That is where the user is gone or inactive, the session has ended, the password has changed, or
    the channel manager says no to a channel. Blocks: a query for each ``QUERY_LENGTH`` users and
    sessions.
    """
    claims = set(claims)
    users = _users({claim.holder.user for claim in claims} - {""})
    sessions = _sessions(sorted({claim.holder.session for claim in claims} - {""}))
    manager = get_channelmanager()
    return {
        claim
        for claim in claims
        if not _holds(claim, users.get(claim.holder.user), sessions, manager)
    }


def _holds(claim: Claim, user: Any, sessions: set[str], manager: Any) -> bool:
    holder = claim.holder
    if holder.user and (user is None or not user.is_active):
        return False
    if holder.session and (holder.session not in sessions or not _same_login(user, holder.login)):
        return False
    return all(manager.can_read_channel(user, channel) for channel in claim.channels)


def _same_login(user: Any, login: str) -> bool:
    if user is None or not hasattr(user, "get_session_auth_hash"):
        return True
    hashes = [user.get_session_auth_hash()]
    if hasattr(user, "get_session_auth_fallback_hash"):
        hashes += user.get_session_auth_fallback_hash()
    return any(constant_time_compare(login, hash) for hash in hashes)


def _users(pks: set[str]) -> dict[str, Any]:
    manager = get_user_model()._default_manager
    found: dict[str, Any] = {}
    for batch in _batches(sorted(pks)):
        found |= {str(user.pk): user for user in manager.filter(pk__in=batch)}
    return found


def _sessions(keys: list[str]) -> set[str]:
    """Return those of ``keys`` whose sessions are alive."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    if not hasattr(store, "get_model_class"):
        return {key for key in keys if store().exists(key)}
    alive = store.get_model_class()._default_manager.filter(expire_date__gt=timezone.now())
    found: set[str] = set()
    for batch in _batches(keys):
        found |= set(alive.filter(session_key__in=batch).values_list("session_key", flat=True))
    return found


def _batches(items: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(items), QUERY_LENGTH):
        yield items[start : start + QUERY_LENGTH]
