"""
``python -m benchmarks [--quick] [--only carillon,floor] [scenario …]``; see ``docs/benchmarks.md``.
"""

import argparse
import signal
import sys
import time
from types import FrameType

from benchmarks import proc, report
from benchmarks.bench import Bench
from benchmarks.contenders.base import Contender
from benchmarks.contenders.carillon import Carillon, remove_database
from benchmarks.contenders.floor import Floor
from benchmarks.contenders.nchan import Nchan
from benchmarks.contenders.stock import Stock
from benchmarks.scenarios import SCENARIOS
from benchmarks.sizes import FULL, QUICK

CONTENDERS: tuple[type[Contender], ...] = (Carillon, Floor, Stock, Nchan)


def main() -> int:
    signal.signal(signal.SIGTERM, _end)  # so that contexts end, and what they have started
    arguments = _arguments()
    names = arguments.only.split(",") if arguments.only else [kind.name for kind in CONTENDERS]
    contenders = [kind for kind in CONTENDERS if kind.name in names]
    missing = []
    if Nchan in contenders and not Nchan.installed():
        contenders.remove(Nchan)
        missing.append(Nchan.name)
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f}  {text}", file=sys.stderr, flush=True)

    files = proc.raise_open_files_limit()
    say(f"up to {files:,} open files in a process")
    bench = Bench(QUICK if arguments.quick else FULL, contenders, say)
    try:
        for name in arguments.scenarios or SCENARIOS:
            say(name)
            SCENARIOS[name](bench)
    finally:
        remove_database()
    seconds = time.monotonic() - started
    text = report.markdown(bench.results, quick=arguments.quick, missing=missing, seconds=seconds)
    print(text)
    if not arguments.scenarios and not arguments.only and not arguments.quick:
        print(f"Written to {report.write(text)}")
    return 0


def _end(sig: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + sig)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=", ".join(SCENARIOS))
    parser.add_argument("--quick", action="store_true", help="small sizes, to try things out")
    parser.add_argument("--only", help="these contenders, with commas between")
    arguments = parser.parse_args()
    if unknown := set(arguments.scenarios) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
