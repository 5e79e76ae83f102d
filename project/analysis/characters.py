"""Sets of Unicode characters, written for regular expressions."""

import re
from collections.abc import Callable


def character_ranges(belongs: Callable[[str], bool], first: int, last: int) -> str:
    """Return the inside of a `[…]` that matches the code points `first` to `last` that belong."""
    ranges = []
    start: int | None = None
    for code in range(first, last + 2):
        if code <= last and belongs(chr(code)):
            start = code if start is None else start
        elif start is not None:
            ranges.append(f"{re.escape(chr(start))}-{re.escape(chr(code - 1))}")
            start = None
    return "".join(ranges)
