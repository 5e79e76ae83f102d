"""
System checks: settings that would fail later, or quietly do something else, say so at start.
"""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from .conf import SETTINGS, Setting, conf

MANAGER = "notifications.eventstream.ChannelManager"
STORAGE = "notifications.eventstream.Storage"


@register(Tags.compatibility)
def check_settings(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Each ``NOTIFICATIONS_*`` setting is one, of its type and within its bounds (E001–E003)."""
    found: list[CheckMessage] = []
    for name in sorted(set(dir(settings))):
        short = name.removeprefix("NOTIFICATIONS_")
        if short == name:
            continue
        if short not in SETTINGS:
            found.append(
                Warning(
                    f"{name} is not a setting of notifications.",
                    hint=f"There are: {', '.join(f'NOTIFICATIONS_{known}' for known in SETTINGS)}.",
                    id="notifications.W001",
                )
            )
        else:
            found += _check_value(name, getattr(settings, name), SETTINGS[short])
    return found


@register(Tags.compatibility)
def check_eventstream(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """django-eventstream is carried by this transport, once (W002, W003, E004)."""
    found: list[CheckMessage] = []
    if getattr(settings, "EVENTSTREAM_STORAGE_CLASS", None) is None:
        found.append(
            Warning(
                "send_event() reaches nobody: EVENTSTREAM_STORAGE_CLASS is not set.",
                hint=f"Set it to {STORAGE!r}.",
                id="notifications.W002",
            )
        )
    if getattr(settings, "EVENTSTREAM_CHANNELMANAGER_CLASS", None) is None:
        found.append(
            Error(
                "Everybody may read every channel: EVENTSTREAM_CHANNELMANAGER_CLASS is not set.",
                hint=f"Set it to {MANAGER!r} or a subclass of it.",
                id="notifications.E004",
            )
        )
    if hasattr(settings, "EVENTSTREAM_REDIS"):
        found.append(
            Warning(
                "EVENTSTREAM_REDIS has send_event() publish everything a second time, unheard.",
                hint="Remove it; the storage class publishes.",
                id="notifications.W003",
            )
        )
    return found


@register(Tags.compatibility)
def check_jobs(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """A job may not count as lost before its worker had a chance to say otherwise (W004)."""
    try:
        least = 2 * (conf.job_heartbeat_seconds + conf.job_sweep_seconds)
        if conf.job_lost_seconds >= least:
            return []
    except TypeError:  # which `check_settings` reports
        return []
    return [
        Warning(
            f"NOTIFICATIONS_JOB_LOST_SECONDS should be at least {least:g}: twice the time between "
            "two signs of life and twice that between two sweeps.",
            hint="Otherwise running jobs count as lost whenever Redis pauses.",
            id="notifications.W004",
        )
    ]


def _check_value(name: str, value: Any, setting: Setting) -> list[CheckMessage]:
    if isinstance(setting.default, str):
        if isinstance(value, str) and value:
            if not setting.choices or value in setting.choices:
                return []
            wanted = " or ".join(map(repr, setting.choices))
            return [Error(f"{name} should be {wanted}, not {value!r}.", id="notifications.E003")]
        return [Error(f"{name} should be a text, not {value!r}.", id="notifications.E001")]
    whole = not name.endswith("_SECONDS")
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        wanted = "a whole number" if whole else "a number"
        return [Error(f"{name} should be {wanted}, not {value!r}.", id="notifications.E002")]
    low, high = setting.minimum, setting.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = f"at least {low:g}" + (f" and at most {high:g}" if high is not None else "")
        return [Error(f"{name} should be {bounds}, not {value!r}.", id="notifications.E003")]
    return []
