"""
The settings of the package, ``NOTIFICATIONS_*`` in Django's settings, with types and defaults.

Each is looked up when it is first used, and again after ``override_settings``. ``checks.py`` looks
them over when Django starts.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its default, and the values that it may have (``None``: no bound)."""

    default: Any
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()  # of a text


SETTINGS: dict[str, Setting] = {
    "REDIS_URL": Setting("redis://127.0.0.1:6379/0"),
    # Comes before every key and Pub/Sub channel: Pub/Sub knows no database numbers, so two sites
    # on one Redis need two prefixes.
    "PREFIX": Setting("notifications"),
    "RETENTION_SECONDS": Setting(24 * 60 * 60, minimum=60),
    "LOG_LENGTH": Setting(10_000, minimum=100),
    "MESSAGE_MAX_BYTES": Setting(64 * 1024, minimum=1024, maximum=16 * 1024 * 1024),
    # Under the 30 s after which many proxies call a connection idle.
    "KEEP_ALIVE_SECONDS": Setting(20, minimum=1, maximum=300),
    "BUFFER_MAX_BYTES": Setting(1024 * 1024, minimum=64 * 1024),
    # How long a request or a task may wait for Redis.
    "REDIS_TIMEOUT_SECONDS": Setting(2, minimum=0.1, maximum=60),
    # How often a hub compares what it knows with Redis, in case Pub/Sub went deaf without a word.
    "RESYNC_SECONDS": Setting(15, minimum=1, maximum=3600),
    # How often a process looks again whether its streams' users may still read.
    "SWEEP_SECONDS": Setting(30, minimum=1, maximum=3600),
    # A client that takes nothing for this long, keep-alives included, is cut off.
    "STALL_SECONDS": Setting(30, minimum=1, maximum=3600),
    "STREAMS_PER_USER": Setting(20, minimum=1),  # in one process; the oldest is ended
    "STREAMS_PER_PROCESS": Setting(20_000, minimum=1),
    # Threads that run the view of a stream while it opens; a stream that is open has none.
    "VIEW_THREADS": Setting(2, minimum=1, maximum=64),
    # How often a worker says which jobs it has, and after which silence they count as lost. With
    # the pause between two sweeps a dead worker is noticed within 45 s.
    "JOB_HEARTBEAT_SECONDS": Setting(5, minimum=1, maximum=300),
    "JOB_LOST_SECONDS": Setting(35, minimum=3, maximum=24 * 60 * 60),
    "JOB_SWEEP_SECONDS": Setting(10, minimum=1, maximum=3600),
    # How long a job that was cancelled may go on, to clean up, before it is ended by force.
    "JOB_CANCEL_GRACE_SECONDS": Setting(10, minimum=0, maximum=24 * 60 * 60),
    "JOB_RETENTION_DAYS": Setting(30, minimum=0, maximum=36_500),  # 0: for ever
    # How often beat looks for reminders that are due; each is to be sent within 2 s.
    "REMINDER_BEAT_SECONDS": Setting(0.5, minimum=0.1, maximum=60),
    # After which silence of who sends an occurrence another takes it up.
    "REMINDER_CLAIM_SECONDS": Setting(60, minimum=1, maximum=24 * 60 * 60),
    # Which of the occurrences of a rule that were missed are sent.
    "REMINDER_CATCH_UP": Setting("newest", choices=("newest", "all")),
    "REMINDER_RETENTION_DAYS": Setting(90, minimum=0, maximum=36_500),  # 0: for ever
}


class Conf:
    """Attribute access to the settings in lower case: ``conf.redis_url``."""

    def __getattr__(self, name: str) -> Any:
        try:
            setting = SETTINGS[name.upper()]
        except KeyError:
            raise AttributeError(name) from None
        value = getattr(settings, f"NOTIFICATIONS_{name.upper()}", setting.default)
        self.__dict__[name] = value  # from here on without a call; a message needs several
        return value


conf = Conf()


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    """Look a setting up anew that a test has changed."""
    conf.__dict__.pop(setting.removeprefix("NOTIFICATIONS_").lower(), None)


def from_text(text: str, default: Any) -> Any:
    """
    Read a setting from the environment: a number where its default is one, else the text.

    What is no number stays text, for the checks to complain about.
    """
    if isinstance(default, str):
        return text
    for number in (int, float):
        with suppress(ValueError):
            return number(text)
    return text
