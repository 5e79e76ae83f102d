"""`manage.py up`: the whole site from one command, and nothing of it left afterwards."""

import os
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.support.processes import processes_with
from tests.support.redis import RedisServer
from tests.support.up import UP, Up
from tests.support.visitor import Visitor
from tests.support.waiting import wait_until

NOT_ZERO = range(1, 256)


@pytest.fixture
def make_up(databases: Any) -> Iterator[Callable[..., Up]]:
    """Make sites that have been up before; with `first=True`, one that has not."""
    made: list[Up] = []

    def make(first: bool = False, **variables: str) -> Up:
        database = None if first else databases["sqlite"].sqlite()
        made.append(Up(database, **variables))
        return made[-1]

    yield make
    for up in made:
        up.close()


def usernames(up: Up) -> list[str]:
    with closing(sqlite3.connect(up.var_dir / "db.sqlite3")) as connection:
        return [name for (name,) in connection.execute("SELECT username FROM auth_user ORDER BY 1")]


def assert_nothing_is_left(up: Up) -> None:
    wait_until(lambda: not processes_with(str(up.var_dir)), 20, lambda: up.children)


def test_the_site_starts_says_where_it_is_and_ends_without_a_trace(
    make_up: Callable[..., Up],
) -> None:
    up = make_up(first=True)
    process = up.start()
    process.wait_for_output(UP, 90)
    assert f"{up.base_url}/" in process.output
    for name in ("demo", "friend", "admin"):
        assert name in process.output
        Visitor(up.base_url).login(name)
    admin = Visitor(up.base_url).login("admin")
    assert admin.get("/admin/").status == 200
    process.wait_for_output(" ready.")  # the worker

    process.send_signal(signal.SIGTERM)
    assert process.wait(25) == 0
    order = [line for line in process.output.splitlines() if line.endswith("has ended")]
    assert len(order) == 4
    assert "redis" in order[-1]
    assert_nothing_is_left(up)

    # A second start finds what the first one made.
    process = up.start()
    process.wait_for_output(UP, 60)
    assert usernames(up) == ["admin", "demo", "friend"]
    process.send_signal(signal.SIGINT)
    assert process.wait(25) == 0
    assert_nothing_is_left(up)


@pytest.mark.parametrize(
    ("name", "command"),
    [("worker", " worker "), ("redis", "redis-server")],
)
def test_where_one_dies_all_stop_and_the_message_names_it(
    make_up: Callable[..., Up], name: str, command: str
) -> None:
    up = make_up()
    process = up.start()
    process.wait_for_output(UP, 90)
    process.wait_for_output(" ready.")
    os.kill(up.child(command), signal.SIGKILL)
    assert process.wait(30) in NOT_ZERO
    assert f"{name} ended by itself (killed by SIGKILL)" in process.output
    assert_nothing_is_left(up)


def test_a_killed_supervisor_leaves_nothing(
    make_up: Callable[..., Up],
) -> None:
    up = make_up()
    process = up.start()
    process.wait_for_output(UP, 90)
    process.wait_for_output(" ready.")
    process.send_signal(signal.SIGKILL)
    process.wait(5)
    assert_nothing_is_left(up)


def test_a_signal_while_it_starts_ends_it(make_up: Callable[..., Up]) -> None:
    up = make_up()
    process = up.start()
    process.wait_for_output("starting")
    process.send_signal(signal.SIGTERM)
    assert process.wait(25) == 0
    assert UP not in process.output
    assert_nothing_is_left(up)


def test_a_second_one_on_the_same_data_is_refused(make_up: Callable[..., Up]) -> None:
    up = make_up()
    first = up.start()
    first.wait_for_output("starting")
    other = make_up(VAR_DIR=str(up.var_dir))
    assert other.start().wait(20) in NOT_ZERO
    assert f"already up (process {first.pid})" in other.process.output
    first.send_signal(signal.SIGTERM)
    assert first.wait(25) == 0


def test_a_redis_that_a_crashed_run_left_is_replaced(make_up: Callable[..., Up]) -> None:
    up = make_up()
    leftover = RedisServer()
    try:
        socket = up.var_dir / "redis.sock"
        leftover.socket.rename(socket)
        process = up.start()
        process.wait_for_output(UP, 90)
        assert not leftover.running
    finally:
        leftover.close()


def test_a_given_redis_is_used_and_left_running(
    make_up: Callable[..., Up], redis_server: RedisServer
) -> None:
    up = make_up(REDIS_URL=redis_server.url)
    process = up.start()
    process.wait_for_output(UP, 90)
    assert not any("redis-server" in line for line in up.children)
    process.send_signal(signal.SIGTERM)
    assert process.wait(25) == 0
    assert redis_server.running


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"DEMO": "0"}, "SECRET_KEY"),
        ({"HOST": "0.0.0.0"}, "HOST is '0.0.0.0'"),
        (
            {"REDIS_URL": "redis://:secret@127.0.0.1:1/0"},
            "Redis does not answer at redis://:***@127.0.0.1:1/0",
        ),
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "127.0.0.1"),
    ],
)
def test_what_it_refuses_to_start_with(
    make_up: Callable[..., Up], variables: dict[str, str], message: str
) -> None:
    up = make_up(**variables)
    assert up.start().wait(30) in NOT_ZERO
    assert message in up.process.output
    assert "Traceback" not in up.process.output
    assert_nothing_is_left(up)


def test_a_port_in_use_is_named(make_up: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        up = make_up(PORT=port)
        assert up.start().wait(20) in NOT_ZERO
    assert f"Can't listen on 127.0.0.1 port {port}" in up.process.output
    assert_nothing_is_left(up)
