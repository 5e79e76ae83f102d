"""The history checker for long, with a random seed: `python -m tests.faults.soak --minutes 30`."""

import argparse
import asyncio
import os
import secrets
import signal
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from tests.support.history_run import Size, run  # noqa: E402
from tests.support.site import Databases  # noqa: E402

ROUND_SECONDS = 300.0  # then all is judged and begins anew, so that a long soak stays small
FREEZE_SECONDS = 20.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    options = parser.parse_args()
    print(f"Soaking for {options.minutes:g} minutes, seed {options.seed}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave no process behind
    databases = Databases()
    totals: dict[str, int] = {}
    failed = 0
    end = time.monotonic() + options.minutes * 60
    number = 0
    try:
        while (left := end - time.monotonic()) > 1:
            number += 1
            seconds = min(left, ROUND_SECONDS)
            size = Size(webs=3, freeze_seconds=FREEZE_SECONDS)
            report = asyncio.run(run(databases, f"{options.seed}-{number}", seconds, size))
            print(report, flush=True)
            failed += not report.good
            findings = {"findings": len(report.findings) + len(report.unexpected)}
            for name, count in {**report.counts, **report.faults, **findings}.items():
                totals[name] = totals.get(name, 0) + count
    finally:
        databases.close()
    print("In all: " + ", ".join(f"{name} {count}" for name, count in totals.items()))
    print("FAILED" if failed else "Nothing lost, nothing twice, nothing out of order.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
