"""
The threads that run views of streams while they open.

When a server comes back, all its clients do. A hop to a thread and back for each of them costs as
much as the view itself, since the threads and the event loop hand the interpreter's lock to one
another; so a thread takes one request after the other, and hands its answers back together.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Generic, TypeVar, cast

from .conf import conf

# The first of the answers waits at most this long for those after it.
HAND_BACK_SECONDS = 0.01

Request = TypeVar("Request")
Response = TypeVar("Response")

Answer = tuple[asyncio.Future[Response], Response | None, BaseException | None]


class ViewThreads(Generic[Request, Response]):
    """Calls ``respond`` in ``NOTIFICATIONS_VIEW_THREADS`` threads; used from one event loop."""

    def __init__(
        self, respond: Callable[[Request], Response], initializer: Callable[[], None]
    ) -> None:
        self._respond = respond
        self._threads = ThreadPoolExecutor(conf.view_threads, "notifications-view", initializer)
        self._waiting: deque[tuple[Request, asyncio.Future[Response]]] = deque()
        self._busy = 0

    def run(self, request: Request) -> "asyncio.Future[Response]":
        """Return what ``respond`` will return, or raise what it raises."""
        answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answered))
        self._start()
        return answered

    def close(self) -> None:
        """Let the threads end when they have answered."""
        self._threads.shutdown(wait=False)

    def _start(self) -> None:
        if self._waiting and self._busy < conf.view_threads:
            self._busy += 1
            self._threads.submit(self._work, asyncio.get_running_loop())

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer until nobody waits; in a thread."""
        answers: list[Answer[Response]] = []
        since = monotonic()
        while True:
            try:
                request, answered = self._waiting.popleft()
            except IndexError:
                break
            try:
                answers.append((answered, self._respond(request), None))
            except BaseException as error:
                answers.append((answered, None, error))
            if monotonic() - since > HAND_BACK_SECONDS:
                loop.call_soon_threadsafe(self._hand_back, answers)
                answers, since = [], monotonic()
        loop.call_soon_threadsafe(self._finish, answers)

    def _finish(self, answers: "list[Answer[Response]]") -> None:
        self._busy -= 1
        self._hand_back(answers)
        self._start()  # for a request that came when the thread had just looked

    def _hand_back(self, answers: "list[Answer[Response]]") -> None:
        for answered, response, error in answers:
            if answered.done():
                continue  # nobody waits for it any more
            if error is not None:
                answered.set_exception(error)
            else:
                answered.set_result(cast(Response, response))
