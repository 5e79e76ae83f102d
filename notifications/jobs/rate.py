"""
How fast something counts, in units a second, calm enough to be shown.
"""

from typing import Final

FIRST_SECONDS: Final = 1.0  # before that a rate means nothing
FIRST_CHANGES: Final = 2

# The time over which a rate is smoothed grows with the work, between these two.
SHORTEST_SECONDS: Final = 5.0
LONGEST_SECONDS: Final = 60.0
GROWTH: Final = 0.25  # of the time that the work has taken so far
HEAVIEST: Final = 1 / 6  # no single step weighs more, however long it took

# A count that stands still has no rate: it did not change for so long, and for so many times the
# usual time between two changes.
STILL_SECONDS: Final = 10.0
STILL_GAPS: Final = 5.0


class Rate:
    """
    Units per second, smoothed exponentially, so that it neither jumps nor lags for long.

    Times are of ``time.monotonic``, and rise.
    """

    def __init__(self) -> None:
        self._started: float | None = None
        self._count = 0.0
        self._changed = 0.0  # when the count last rose
        self._changes = 0
        self._value = 0.0

    def update(self, count: float, now: float) -> None:
        """Take a new count in; one that is not larger than the last says nothing."""
        if self._started is None:
            self._started, self._count, self._changed = now, count, now
            return
        seconds = now - self._changed
        if count <= self._count or seconds <= 0:
            return
        elapsed = now - self._started
        window = min(max(elapsed * GROWTH, SHORTEST_SECONDS), LONGEST_SECONDS)
        # At the beginning each counts alike, later the newer one more.
        weight = max(seconds / elapsed, min(seconds / (seconds + window), HEAVIEST))
        self._value += weight * ((count - self._count) / seconds - self._value)
        self._count, self._changed = count, now
        self._changes += 1

    def value(self, now: float) -> float | None:
        """Return the rate, or None while it means nothing: at first, and at a standstill."""
        if self._started is None or self._changes < FIRST_CHANGES:
            return None
        until = self._changed + self.still_seconds
        if now - self._started < FIRST_SECONDS or now > until:
            return None
        return self._value

    @property
    def still_seconds(self) -> float:
        """How long the count may stay as it is before it counts as standing still."""
        if self._started is None or not self._changes:
            return STILL_SECONDS
        gap = (self._changed - self._started) / self._changes
        return max(STILL_SECONDS, STILL_GAPS * gap)
