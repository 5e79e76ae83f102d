"""The supervisor's output: lines with the name of the program that wrote them."""

import os
import sys
from typing import Final, TextIO

COLOURS: Final = {"web": 36, "worker": 32, "beat": 35, "redis": 33, "system": 34}  # ANSI SGR codes


class Console:
    """Writes prefixed lines, on a terminal in colour (not with NO_COLOR: https://no-color.org).

    Where nobody reads any more (`make run | head`, a closed terminal) lines are dropped: the site
    must still be ended in order.
    """

    def __init__(self, stream: TextIO, width: int = 6) -> None:
        self._stream = stream
        self._width = width
        self._colour = stream.isatty() and "NO_COLOR" not in os.environ
        self.closed = False

    def line(self, name: str, text: str) -> None:
        prefix = f"{name:<{self._width}} |"
        if self._colour:
            prefix = f"\x1b[{COLOURS.get(name, 37)}m{prefix}\x1b[0m"
        self.write(f"{prefix} {text.rstrip()}\n")

    def write(self, text: str) -> None:
        if self.closed:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self.closed = True
            # Else Python fails once more when it flushes stdout at its end.
            sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
