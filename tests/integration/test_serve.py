"""`manage.py serve`: what it refuses, and how it ends."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.processes import ROOT, environment
from tests.support.redis import RedisServer
from tests.support.site import Site
from tests.support.visitor import Visitor


def serve(var_dir: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = environment(VAR_DIR=str(var_dir), **{"SECRET_KEY": "tests", **variables})
    command = [sys.executable, "manage.py", "serve", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=30)


def test_without_redis_it_names_the_url_and_ends(tmp_path: Path) -> None:
    done = serve(tmp_path, "--port", "0", REDIS_URL="redis://:secret@127.0.0.1:1/0")
    assert done.returncode != 0
    assert "redis://:***@127.0.0.1:1/0" in done.stderr
    assert "REDIS_URL" in done.stderr
    assert "secret" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_named(tmp_path: Path, redis_server: RedisServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = serve(tmp_path, "--port", str(port), REDIS_URL=redis_server.url)
    assert done.returncode != 0
    assert f"Can't listen on 127.0.0.1 port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_default_secret_key_is_refused(tmp_path: Path, redis_server: RedisServer) -> None:
    done = serve(tmp_path, "--port", "0", REDIS_URL=redis_server.url, SECRET_KEY="")
    assert done.returncode != 0
    assert "SECRET_KEY is the published default" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("debug", ["0", "1"])
def test_static_files_come_with_debug_on_and_off(
    make_site: Callable[..., Site], debug: str
) -> None:
    visitor = Visitor(make_site(env={"DEBUG": debug}).base_url)
    response = visitor.get("/static/admin/css/base.css")
    assert response.status == 200
    assert response.headers["Content-Type"].startswith("text/css")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    again = visitor.get(
        "/static/admin/css/base.css",
        {"If-Modified-Since": response.headers["Last-Modified"]},
    )
    assert again.status == 304


@pytest.mark.parametrize("path", ["no.css", "../manage.py", "%2e%2e/%2e%2e/manage.py", "a%00b", ""])
def test_what_is_no_static_file_is_not_found(site: Site, path: str) -> None:
    assert Visitor(site.base_url).get(f"/static/{path}").status == 404


def test_pages_carry_a_strict_policy(site: Site) -> None:
    policy = Visitor(site.base_url).get("/login/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_on_a_signal_while_streams_are_open(
    make_site: Callable[..., Site], sig: signal.Signals
) -> None:
    site = make_site()
    visitor = site.login()
    host, port = site.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as stream:
        stream.sendall(
            f"GET /events/ HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n"
            f"Cookie: {visitor.cookie_header}\r\n\r\n".encode()
        )
        received = b""
        while b"stream-open" not in received:
            received += stream.recv(65536)
        site.webs[0].send_signal(sig)
        while chunk := stream.recv(65536):
            received += chunk
    assert received.endswith(b"0\r\n\r\n")  # the response was ended, not cut off
    assert site.webs[0].wait(5) == 0


def test_a_unix_socket_is_served_and_removed_at_the_end(
    make_site: Callable[..., Site], tmp_path: Path
) -> None:
    site = make_site(webs=0)
    path = site.var_dir / "web.sock"
    web = site.start_web("--uds", str(path))
    assert web == f"unix:{path}"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /login/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    site.webs[0].send_signal(signal.SIGTERM)
    assert site.webs[0].wait(5) == 0
    assert not path.exists()
