"""
The table: what was measured, what it is compared with, and whether that is good enough.
"""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import machine

ROOT = Path(__file__).resolve().parent
DOCS = ROOT.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
COLUMNS = ("carillon", "floor", "stock", "nchan")


@dataclass(slots=True)
class Row:
    """One figure of all contenders; ``passed`` is None where nothing was asked."""

    scenario: str
    figure: str
    values: dict[str, str]
    ratio: str = ""
    target: str = ""
    passed: bool | None = None


@dataclass(slots=True)
class Results:
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def markdown(results: Results, *, quick: bool, missing: Sequence[str], seconds: float) -> str:
    """Return the table with the machine, as Markdown."""
    today = datetime.datetime.now(datetime.UTC).date()
    lines = [
        f"Measured on {today} in {seconds / 60:.1f} minutes"
        + (", with `--quick`: sizes too small for firm figures" if quick else "")
        + ".",
        "",
        *(f"- {line}" for line in machine.description()),
        "",
        *_table(results.rows, missing),
        "",
        *(f"- {note}" for note in results.notes),
    ]
    return "\n".join(lines).rstrip() + "\n"


def write(text: str) -> Path:
    """Write a file of results, and the table in the documentation; return the file's path."""
    today = datetime.datetime.now(datetime.UTC).date()
    path = ROOT / "results" / f"{today}-{machine.short_name()}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"# Benchmarks\n\n{text}")
    if DOCS.exists():
        before, begin, rest = DOCS.read_text().partition(BEGIN)
        _, end, after = rest.partition(END)
        if begin and end:
            DOCS.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")
    return path


def _table(rows: Iterable[Row], missing: Sequence[str]) -> list[str]:
    head = ["scenario", "figure", *COLUMNS, "ratio", "target", "result"]
    cells = [head]
    for row in rows:
        values = [
            row.values.get(name, "not installed" if name in missing else "–") for name in COLUMNS
        ]
        passed = {None: "", True: "pass", False: "**falls short**"}[row.passed]
        cells.append([row.scenario, row.figure, *values, row.ratio, row.target, passed])
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = [_line(line, widths) for line in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "| " + " | ".join(padded) + " |"
