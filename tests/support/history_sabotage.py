"""Settings that break the site on purpose, so that the history checker can be seen to fail.

`DJANGO_SETTINGS_MODULE=tests.support.history_sabotage` with `SABOTAGE` in the environment: the name
of a function below. Nothing of the product is changed but what runs in that one process.
"""

import os
from collections.abc import Sequence

from django.apps import AppConfig

from tests.support.site_settings import *  # noqa: F403
from tests.support.site_settings import INSTALLED_APPS as SITE_APPS

INSTALLED_APPS = [*SITE_APPS, "tests.support.history_sabotage.Sabotage"]


class Sabotage(AppConfig):
    name = "tests.support.history_sabotage"
    label = "history_sabotage"

    def ready(self) -> None:
        sabotages = (without_gap_check, without_resubscription)
        {sabotage.__name__: sabotage for sabotage in sabotages}[os.environ["SABOTAGE"]]()


def without_gap_check() -> None:
    """The hub passes on what it hears, whatever came before it."""
    from notifications.hub import Hub

    receive = Hub._receive

    def receive_unchecked(self, channel, frames):  # type: ignore[no-untyped-def]
        if channel.ready:
            self._pass_on(channel, [frame for frame in frames if frame.id > channel.seen])
        else:
            receive(self, channel, frames)

    Hub._receive = receive_unchecked  # type: ignore[method-assign]


def without_resubscription() -> None:
    """Only the first connection to Redis asks for channels; those after it ask for nothing."""
    from notifications.listener import Listener

    subscribe = Listener.subscribe
    first: list[Listener] = []

    def subscribe_once(self: Listener, names: Sequence[str]) -> None:
        first[:] = first or [self]
        if first[0] is self:
            subscribe(self, names)

    Listener.subscribe = subscribe_once  # type: ignore[method-assign]
