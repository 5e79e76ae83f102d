"""
Kicks: ending the streams of somebody who may no longer read, in every process.

A kick is said over Pub/Sub, so it takes a moment and may be lost; each process repeats the check of
all its streams every ``NOTIFICATIONS_SWEEP_SECONDS``. Logout, deletion, and each change of a user's
account, groups or permissions are said by themselves.
"""

import logging
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save

from . import storage
from .exceptions import RedisUnavailable
from .permissions import session_digest

logger = logging.getLogger(__name__)


def kick(user: Any) -> None:
    """
    End all streams of ``user`` (or of the user with this primary key), in every process.

    For a site's own rules: a browser comes back at once, and then meets whatever the channel
    manager says by now. Raises ``RedisUnavailable``; the next sweep makes up for rules that the
    channel manager knows.
    """
    storage.announce_kick(_pk(user), "all")


def connect_signals() -> None:
    """Have Django's own events kick; called once, when the app is ready."""
    model = get_user_model()
    user_logged_out.connect(_logged_out, dispatch_uid="notifications.logged_out")
    post_save.connect(_saved, sender=model, dispatch_uid="notifications.saved")
    post_delete.connect(_deleted, sender=model, dispatch_uid="notifications.deleted")
    for field in ("groups", "user_permissions"):
        if hasattr(model, field):
            through = getattr(model, field).through
            m2m_changed.connect(
                _rights_changed, sender=through, dispatch_uid=f"notifications.{field}"
            )


def _logged_out(sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
    key = getattr(request.session, "session_key", None)
    if user is not None and key:
        _say(user, session_digest(key))


def _saved(sender: Any, instance: Any, created: bool, update_fields: Any, **kwargs: Any) -> None:
    # Each login saves its time, and means nothing here.
    if not created and set(update_fields or ()) != {"last_login"}:
        transaction.on_commit(lambda: _say(instance, "check"), using=kwargs.get("using"))


def _deleted(sender: Any, instance: Any, **kwargs: Any) -> None:
    pk = instance.pk  # is None by the time of the commit
    transaction.on_commit(lambda: _say(pk, "all"), using=kwargs.get("using"))


def _rights_changed(
    sender: Any, instance: Any, action: str, reverse: bool, pk_set: Any, **kwargs: Any
) -> None:
    if action in {"post_add", "post_remove", "post_clear"}:
        # From the other side (a group gets users) the users are in pk_set.
        users = list(pk_set or ()) if reverse else [instance.pk]

        def say() -> None:
            for user in users:
                _say(user, "check")

        transaction.on_commit(say, using=kwargs.get("using"))


def _say(user: Any, what: str) -> None:
    try:
        storage.announce_kick(_pk(user), what)
    except RedisUnavailable as error:
        logger.warning("The streams of user %s end with the next sweep: %s", _pk(user), error)


def _pk(user: Any) -> str:
    return str(getattr(user, "pk", user))
