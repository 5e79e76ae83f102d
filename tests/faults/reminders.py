"""Reminders for long, with a random seed: `python -m tests.faults.reminders --minutes 5`."""

import argparse
import os
import secrets
import signal
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from tests.support.postgres import PostgresCluster  # noqa: E402
from tests.support.reminders_run import Size, run  # noqa: E402
from tests.support.site import Databases  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--reminders", type=int, default=1000)
    parser.add_argument("--engine", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--seed", default=secrets.token_hex(4))
    options = parser.parse_args()
    print(f"Reminders for {options.minutes:g} minutes, seed {options.seed}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave no process behind
    cluster = PostgresCluster() if options.engine == "postgresql" else None
    databases = Databases(cluster)
    size = Size(reminders=options.reminders, large=max(1, options.reminders * 6 // 100))
    try:
        report = run(databases, options.engine, options.seed, options.minutes * 60, size)
    finally:
        databases.close()
        if cluster is not None:
            cluster.close()
    print(report)
    print("Each person has each occurrence exactly once." if report.good else "FAILED")
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
