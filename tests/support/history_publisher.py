"""A process that publishes until SIGTERM, and prints what it was told: a JSON line per call.

`python -m tests.support.history_publisher NAME SEED THREADS RATE CHANNEL…`; the settings come from
the environment, as for any process of the site.
"""

import json
import os
import random
import signal
import sys
import threading
import time
from dataclasses import asdict
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django.setup()

from notifications import storage  # noqa: E402
from notifications.connections import run  # noqa: E402
from notifications.exceptions import PublishFailed  # noqa: E402
from notifications.publishing import publish  # noqa: E402
from tests.support.history import Publication  # noqa: E402

LOG_SHARE = 0.6  # the rest are latest values
UNHEARD_SHARE = 0.02  # stored, but Pub/Sub tells nobody
LARGE_SHARE = 0.3  # so that a client that does not read falls behind soon
LARGE_CHARACTERS = 8_000


def log_data(text: str, padding: str = "") -> dict[str, str]:
    return {"text": text, "padding": padding}


def latest_data(key: str, number: int, padding: str = "") -> dict[str, Any]:
    return {"key": key, "number": number, "padding": padding}


def publish_recorded(channel: str, text: str, key: str, padding: str = "") -> Publication:
    """Publish a log message, or the value `text` of a key, and return what came of it."""
    data = latest_data(key, int(text), padding) if key else log_data(text, padding)
    started = time.monotonic()
    try:
        id: int | None = publish(channel, "tick" if key else "note", data, key=key or None)
    except PublishFailed:
        id = None
    return Publication(channel, text, key, started, time.monotonic(), id)


def publish_unheard(channel: str, text: str, key: str) -> Publication:
    """Do the same, but let Pub/Sub lose it: the script announces it where nobody listens."""
    data = json.dumps(latest_data(key, int(text)) if key else log_data(text))
    started = time.monotonic()
    try:
        type = "tick" if key else "note"
        keys, arguments = storage._append_arguments(channel, type, data, key, "")
        arguments[0] = "nobody"
        with storage.redis_errors("Nothing was published", PublishFailed):
            id: int | None = int(run(storage.PUBLISH, keys, arguments))
    except PublishFailed:
        id = None
    return Publication(channel, text, key, started, time.monotonic(), id)


def _work(name: str, seed: str, rate: float, channels: list[str], stop: threading.Event) -> None:
    choose = random.Random(seed)
    number = 0
    while not stop.is_set():
        number += 1
        channel = choose.choice(channels)
        is_log = choose.random() < LOG_SHARE
        text, key = (f"{name}-{number}", "") if is_log else (str(number), name)
        if choose.random() < UNHEARD_SHARE:
            said = publish_unheard(channel, text, key)
        else:
            padding = "x" * LARGE_CHARACTERS if choose.random() < LARGE_SHARE else ""
            said = publish_recorded(channel, text, key, padding)
        sys.stdout.write(json.dumps(asdict(said)) + "\n")
        stop.wait(choose.expovariate(rate))


def main() -> None:
    name, seed, threads, rate, *channels = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    names = [f"{name}{letter}" for letter in "abcdefgh"[: int(threads)]]
    workers = [
        threading.Thread(target=_work, args=(own, f"{seed}-{own}", float(rate), channels, stop))
        for own in names
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
