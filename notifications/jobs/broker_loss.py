"""
What lets a worker outlive a broker that goes away in the middle of a task.

Celery 5.7.0, over Redis, closes the connection that it has lost, after it has taken from it the
address of Redis; to give back what is not acknowledged it then looks for that address, and the
``AttributeError`` ends the worker. Earlier versions let go of the connection, and so does this.
"""

from contextlib import suppress
from typing import Any, Final

from celery.signals import worker_ready

SOCKET_SECONDS: Final = 5  # for what letting go still has to read


def connect() -> None:
    """Guard each worker that gets ready; called once, from the app's config."""
    worker_ready.connect(_guard, dispatch_uid="carillon.broker_loss", weak=False)


def _guard(sender: Any, **kwargs: Any) -> None:
    handle = sender.on_connection_error_after_connected

    def on_connection_error_after_connected(error: Exception) -> None:
        connection, sender.connection = sender.connection, None
        with suppress(Exception):
            connection.collect(socket_timeout=SOCKET_SECONDS)
        handle(error)

    sender.on_connection_error_after_connected = on_connection_error_after_connected
