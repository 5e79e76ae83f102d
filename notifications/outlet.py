"""
An outlet: what a stream writes to, also without a turn of its task.

To wake a stream's task for each message costs about half as much as the write itself. uvicorn's
``send`` does not wait while the socket takes data, so it can be run to its end by whoever has the
message. Where it does wait, the stream's own task goes on with it.
"""

from collections.abc import Awaitable, Callable, Coroutine, Generator, MutableMapping
from time import monotonic
from types import coroutine
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Outlet:
    """
    The body of one response.

    ``busy_since`` is the moment (of ``time.monotonic``) since which the socket has taken nothing,
    None where it takes data.
    """

    __slots__ = ("_direct", "_failure", "_send", "_unfinished", "busy_since")

    def __init__(self, send: Send) -> None:
        self._send = send
        # Any other ``send`` may ask for the task that it runs in; uvicorn's asks for nothing.
        self._direct = isinstance(getattr(send, "__self__", None), RequestResponseCycle)
        self._unfinished: tuple[Coroutine[Any, Any, None], Any] | None = None
        self._failure: Exception | None = None
        self.busy_since: float | None = None

    async def write(self, chunk: bytes, *, more: bool = True) -> None:
        """Send ``chunk``, and wait while the socket is full."""
        self.busy_since = monotonic()
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})
        self.busy_since = None

    @property
    def is_direct(self) -> bool:
        """Whether ``write_now`` may be called."""
        return self._direct

    def write_now(self, chunk: bytes) -> bool:
        """
        Send ``chunk`` at once; False where the stream's task must call ``finish``.

        Not to be called again before it has.
        """
        sending: Any = self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        try:
            waits_for = sending.send(None)
        except StopIteration:
            return True
        except Exception as error:
            self._failure = error
        else:
            self._unfinished = sending, waits_for
            self.busy_since = monotonic()
        return False

    async def finish(self) -> None:
        """Go on with what ``write_now`` began, or raise what it met."""
        if self._failure is not None:
            raise self._failure
        if self._unfinished is not None:
            sending, waits_for = self._unfinished
            self._unfinished = None
            await _go_on(sending, waits_for)
            self.busy_since = None


@coroutine
def _go_on(sending: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    yield waits_for
    yield from sending  # PEP 492 allows it for a coroutine that is under way, too
