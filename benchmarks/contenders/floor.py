"""
The floor: the least that can stream from Redis with this server, without login or history.
"""

from typing import ClassVar

from benchmarks.contenders.base import Contender
from tests.support.processes import Process


class Floor(Contender):
    name: ClassVar[str] = "floor"

    def start(self) -> Process:
        return self.spawn_uvicorn("benchmarks.contenders.floor_app:application")

    def path(self, user: int) -> str:
        return f"/?{self.channel(user)}"
