"""
Stock django-eventstream: its own view, Redis storage and Redis listener, without login.
"""

from typing import ClassVar

from benchmarks.contenders.base import Contender
from tests.support.processes import Process


class Stock(Contender):
    name: ClassVar[str] = "stock"

    def start(self) -> Process:
        return self.spawn_uvicorn("benchmarks.contenders.stock_app:application")

    def path(self, user: int) -> str:
        return f"/events/?channel={self.channel(user)}"
