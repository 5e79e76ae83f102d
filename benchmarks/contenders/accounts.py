"""
Accounts and sessions for the site, made in its own database by `manage.py shell`.
"""

from datetime import timedelta
from pathlib import Path

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone

BACKEND = "django.contrib.auth.backends.ModelBackend"


def make(count: int, path: str) -> None:
    """Make users 1 to ``count``, log each in, and write their session keys to ``path``."""
    password = make_password(None)
    User.objects.bulk_create(
        (User(pk=pk, username=f"user-{pk}", password=password) for pk in range(1, count + 1)),
        batch_size=500,
    )
    store, sessions = SessionStore(), []
    expire_date = timezone.now() + timedelta(days=1)
    for user in User.objects.order_by("pk"):
        data = {
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: BACKEND,
            HASH_SESSION_KEY: user.get_session_auth_hash(),
        }
        sessions.append(
            Session(
                session_key=f"{user.pk:032d}",
                session_data=store.encode(data),
                expire_date=expire_date,
            )
        )
    Session.objects.bulk_create(sessions, batch_size=500)
    Path(path).write_text("\n".join(session.session_key for session in sessions))
