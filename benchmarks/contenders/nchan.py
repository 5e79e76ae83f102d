"""
nchan: nginx's module in C, with Redis, without login. Left out where it is not installed.
"""

import os
import shutil
from typing import ClassVar

import redis

from benchmarks import machine
from benchmarks.contenders.base import Contender
from benchmarks.proc import children
from benchmarks.redis import Redis, free_port
from tests.support.processes import Process, environment
from tests.support.waiting import wait_until

CONFIGURATION = """
load_module {module};
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections {files}; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream history {{ nchan_redis_server "redis://127.0.0.1:{redis_port}"; }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        keepalive_requests 10000000;
        location ~ ^/sub/(.+)$ {{
            nchan_subscriber;
            nchan_channel_id $1;
            nchan_subscriber_first_message newest;
            nchan_redis_pass history;
        }}
        location ~ ^/pub/(.+)$ {{
            nchan_publisher;
            nchan_channel_id $1;
            nchan_message_buffer_length 10000;
            nchan_message_timeout 24h;
            nchan_redis_pass history;
        }}
    }}
}}
"""


class Nchan(Contender):
    name: ClassVar[str] = "nchan"
    ready: ClassVar[str] = ": hi"

    @staticmethod
    def installed() -> bool:
        return bool(machine.nginx_version())

    @property
    def pid(self) -> int:
        return children(self.process.pid)[0]  # the one worker

    def start_redis(self) -> Redis:
        return Redis(free_port())  # it knows no Unix sockets

    def start(self) -> Process:
        self._port = free_port()
        path = self.directory / "nginx.conf"
        path.write_text(
            CONFIGURATION.format(
                module=machine.nchan_module(),
                user="user root;" if os.geteuid() == 0 else "",
                files=15_000,
                directory=self.directory,
                port=self._port,
                redis_port=self.redis.port,
            )
        )
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        command = [program, "-p", str(self.directory), "-c", str(path)]
        command += ["-e", str(self.directory / "error.log")]
        return Process(self.name, command, self.directory / "log", environment())

    def wait_until_it_listens(self) -> int:
        wait_until(self._is_connected, 20, lambda: f"nginx:\n{self.process.output}")
        return self._port

    def path(self, user: int) -> str:
        return f"/sub/{self.channel(user)}"

    def publisher_environment(self) -> dict[str, str]:
        return {"NGINX_PORT": str(self.port)}

    def _is_connected(self) -> bool:
        """Tell whether nginx runs and has found Redis: its own connections are Pub/Sub's."""
        assert self.process.returncode is None, f"nginx ended:\n{self.process.output}"
        try:
            with self.redis.client() as client:
                return any(row["addr"].startswith("127.0.0.1:") for row in client.client_list())
        except redis.RedisError:
            return False
