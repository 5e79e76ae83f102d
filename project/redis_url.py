"""Redis addresses: where the site's own Redis listens, and what its clients call that."""

import hashlib
import os
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

# A socket's path must fit `sockaddr_un.sun_path`: 108 bytes on Linux, 104 on macOS, with the
# closing NUL.
MAX_SOCKET_PATH_BYTES: Final = 103

# Not `tempfile.gettempdir()`: a shell and the site may have different TMPDIRs, and must find the
# same socket.
SHORT_SOCKET_ROOT: Final = Path("/tmp")  # noqa: S108 - the directory below it is private, see redis_server


def default_socket_path(var_dir: Path) -> Path:
    """Return the socket of the site's own Redis: in `var_dir`, or if that is too long, a stand-in.

    The stand-in depends on the user and `var_dir` only, so that every process of the site finds the
    same one.
    """
    path = var_dir / "redis.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        return path
    digest = hashlib.sha256(os.fsencode(var_dir)).hexdigest()[:16]
    return SHORT_SOCKET_ROOT / f"carillon-{os.getuid()}-{digest}" / "redis.sock"


def default_redis_url(var_dir: Path) -> str:
    """Return the URL of the site's own Redis, e.g. `unix:///srv/carillon/var/redis.sock`."""
    return f"unix://{quote(str(default_socket_path(var_dir)))}"


def socket_path(url: str) -> Path | None:
    """Return the path of a `unix://` URL; None for other URLs."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "unix" else None


def celery_broker_url(url: str) -> str:
    """Return `url` as Celery wants it: `unix://…?db=1` is `redis+socket://…?virtual_host=1`."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    query = dict(parse_qsl(parts.query))
    query["virtual_host"] = query.pop("db", "0")
    # By hand: `urlunsplit` drops the slashes of an empty host.
    return f"redis+socket://{parts.netloc}{parts.path}?{urlencode(query)}"


def masked(url: str) -> str:
    """Return `url` for people's eyes: the password, if any, as `***`."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    userinfo, _, host = parts.netloc.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=f"{user}{colon}{'***' if colon else ''}@{host}"))
