"""
The ways in: how a message gets into each contender, one by one and flat out.
"""

import os
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

import django

from benchmarks.load.payload import text

Item = tuple[str, str]  # channel, text

TYPE = "bench"
PIPELINE_LENGTH = 500  # commands or requests sent before their answers are read


class Way(Protocol):
    def one(self, channel: str, message: str) -> None: ...

    def many(self, items: Sequence[Item]) -> None: ...

    def fill(self, channels: Sequence[str], each: int) -> list[str]: ...


class Carillon:
    """``publish()`` and ``publish_many()``."""

    def __init__(self) -> None:
        os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
        django.setup()
        from notifications.messages import Draft
        from notifications.publishing import publish, publish_many

        self._publish, self._publish_many, self._draft = publish, publish_many, Draft

    def one(self, channel: str, message: str) -> None:
        self._publish(channel, TYPE, message)

    def many(self, items: Sequence[Item]) -> None:
        self._publish_many(self._draft(channel, TYPE, message) for channel, message in items)

    def fill(self, channels: Sequence[str], each: int) -> list[str]:
        cursors = []
        for channel in channels:
            drafts = [self._draft(channel, TYPE, text()) for _ in range(each + 1)]
            cursors.append(f"{channel}:{self._publish_many(drafts)[0]}")
        return cursors


class Floor:
    """Redis's PUBLISH, and nothing else."""

    def __init__(self) -> None:
        import redis

        self._redis = redis.Redis.from_url(os.environ["REDIS_URL"], protocol=2)

    def one(self, channel: str, message: str) -> None:
        self._redis.publish(channel, f'"{message}"')

    def many(self, items: Sequence[Item]) -> None:
        for start in range(0, len(items), PIPELINE_LENGTH):
            pipe = self._redis.pipeline(transaction=False)
            for channel, message in items[start : start + PIPELINE_LENGTH]:
                pipe.publish(channel, f'"{message}"')
            pipe.execute()

    def fill(self, channels: Sequence[str], each: int) -> list[str]:
        raise NotImplementedError("the floor has no history")


class Stock:
    """``send_event()``, once for each message: there is no way to send many."""

    def __init__(self) -> None:
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.contenders.stock_settings"
        django.setup()
        from django_eventstream import send_event
        from django_eventstream.storage import EVENT_TIMEOUT
        from django_eventstream.utils import get_storage

        self._send_event, self._redis = send_event, get_storage().redis
        self._keep_seconds = EVENT_TIMEOUT * 60

    def one(self, channel: str, message: str) -> None:
        self._send_event(channel, TYPE, message)

    def many(self, items: Sequence[Item]) -> None:
        for channel, message in items:
            self._send_event(channel, TYPE, message)

    def fill(self, channels: Sequence[str], each: int) -> list[str]:
        # What its storage would write, in fewer round trips: only the reading is measured.
        for channel in channels:
            pipe = self._redis.pipeline(transaction=False)
            for number in range(1, each + 2):
                event = f'{{"type": "{TYPE}", "data": "\\"{text()}\\""}}'
                pipe.setex(f"event:{channel}:{number}", self._keep_seconds, event)
            pipe.set(f"event_counter:{channel}", each + 1)
            pipe.execute()
        return [f"{channel}:1" for channel in channels]


class Nchan:
    """POST to nchan's publisher location, over one connection."""

    def __init__(self) -> None:
        address = ("127.0.0.1", int(os.environ["NGINX_PORT"]))
        self._socket = socket.create_connection(address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._socket.makefile("rb")

    def one(self, channel: str, message: str) -> None:
        self._socket.sendall(self._request(channel, message))
        self._read_answer()

    def many(self, items: Sequence[Item]) -> None:
        length = 100  # all answers of a batch must fit into the sockets' buffers
        for start in range(0, len(items), length):
            batch = items[start : start + length]
            self._socket.sendall(b"".join(self._request(*item) for item in batch))
            for _ in batch:
                self._read_answer()

    def fill(self, channels: Sequence[str], each: int) -> list[str]:
        raise NotImplementedError("nchan's cursors are not measured")

    def _request(self, channel: str, message: str) -> bytes:
        body = f'"{message}"'
        head = f"POST /pub/{channel} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}"
        return f"{head}\r\n\r\n{body}".encode()

    def _read_answer(self) -> None:
        status = self._answers.readline()
        assert b" 201 " in status or b" 202 " in status, status
        length = 0
        while (line := self._answers.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        self._answers.read(length)


WAYS: dict[str, Callable[[], Way]] = {
    "carillon": Carillon,
    "floor": Floor,
    "stock": Stock,
    "nchan": Nchan,
}
