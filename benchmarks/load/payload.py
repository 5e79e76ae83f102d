"""
The payload of every message: 200 bytes of JSON, with one mark and the time in it.

Of all that a stream carries only a payload has the mark, and exactly one. So counting the events in
a piece of a stream is counting one byte in it, whatever the piece begins or ends with.
"""

import time

MARK = b"~"
STAMP_LENGTH = 19  # digits of CLOCK_MONOTONIC in nanoseconds, which all processes share
PAYLOAD_BYTES = 200  # as JSON, so with two quotation marks

_PADDING = "x" * (PAYLOAD_BYTES - 2 - len(MARK) - STAMP_LENGTH)


def text() -> str:
    """Return the text of one message, stamped now."""
    return f"~{time.monotonic_ns():0{STAMP_LENGTH}d}{_PADDING}"
