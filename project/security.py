"""What the site refuses to run with, and the policy that it gives to browsers.

The checks are called where the site starts to serve (ASGI, worker, supervisor) and not by the
settings, so that `manage.py shell` or `migrate` works beside a running demo without its
environment.
"""

import ipaddress
from typing import Final

from csp.constants import NONE, SELF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

INSECURE_SECRET_KEY: Final = "insecure-carillon-key-for-demo-and-debug-only"  # noqa: S105

# Everything is served by the site itself and nothing is inline. `data:` images are what CSS uses
# for small icons.
CONTENT_SECURITY_POLICY: Final[dict[str, dict[str, list[str]]]] = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}


def refuse_default_secret_key() -> None:
    """Raise `ImproperlyConfigured` where the published key would sign a real site's sessions."""
    if settings.SECRET_KEY == INSECURE_SECRET_KEY and not (settings.DEMO or settings.DEBUG):
        raise ImproperlyConfigured(
            "SECRET_KEY is the published default, with which anybody could forge a session. Set "
            "the environment variable SECRET_KEY to a long random string, for example the output "
            "of `python3 -c 'import secrets; print(secrets.token_urlsafe(50))'`. For a trial on "
            "this machine alone, set DEMO=1 instead."
        )


def refuse_public_demo(host: str) -> None:
    """Raise `ImproperlyConfigured` where a demo would be reachable from other machines."""
    if settings.DEMO and not is_loopback(host):
        raise ImproperlyConfigured(
            f"DEMO is on and HOST is {host!r}, which other machines may reach. The demo accounts "
            "have public passwords: use a loopback address (HOST=127.0.0.1), or turn DEMO off."
        )


def is_loopback(host: str) -> bool:
    """Tell whether `host` is reached from this machine alone; of names, only `localhost` is."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
