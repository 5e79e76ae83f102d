"""The demo's accounts.

Their passwords are public: they exist only where the site is reached from this machine alone.
"""

from typing import Final

from django.contrib.auth import get_user_model

#: Name (also the password), and what a visitor reads about it.
ACCOUNTS: Final = {
    "demo": "a user",
    "friend": "a second user, who sees nothing of the first",
    "admin": "a superuser, for the admin pages",
}


def make_accounts() -> None:
    """Make the accounts that don't exist yet. The caller has checked that this is a demo."""
    users = get_user_model()._default_manager
    for name in ACCOUNTS:
        if not users.filter(username=name).exists():
            create = users.create_superuser if name == "admin" else users.create_user
            create(username=name, password=name)
