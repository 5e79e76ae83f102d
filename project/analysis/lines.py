"""The longest line of a stream of bytes or text."""

from typing import Generic, TypeVar

Piece = TypeVar("Piece", str, bytes)

# Under this length, splitting is faster than leaping from line feed to line feed.
_LEAP_FROM = 64


class LongestLine(Generic[Piece]):
    """Finds the length of the longest line of a stream fed in pieces of any size.

    A line ends at a line feed; the line feed and a carriage return before it are not part of it.
    The length is in whatever the pieces consist of: characters of a `str`, bytes of `bytes`.

    Once a long line is known, only a longer one matters: the search leaps that many places ahead
    and looks back for a line feed, so long lines cost next to nothing.
    """

    def __init__(self, feed: Piece, carriage_return: Piece) -> None:
        self._feed: Piece = feed
        self._return: Piece = carriage_return
        self._longest = 0
        self._open = 0  # the length so far of the line that isn't over
        self._returned = False  # whether it ends in a carriage return for now

    @property
    def length(self) -> int:
        """The longest line so far, the one that isn't over included."""
        return max(self._longest, self._open)

    def as_text(self) -> "LongestLine[str]":
        """Return a copy that goes on with text: right where all bytes so far were characters."""
        text = LongestLine("\n", "\r")
        text._longest, text._open, text._returned = self._longest, self._open, self._returned
        return text

    def feed(self, piece: Piece) -> None:
        if not piece:
            return
        end = piece.find(self._feed)
        if end < 0:
            self._open += len(piece)
            self._returned = piece.endswith(self._return)
            return
        if end:
            self._returned = piece.endswith(self._return, 0, end)
        self._note(self._open + end - self._returned)
        last = piece.rfind(self._feed)
        if end < last:
            self._search(piece, end + 1, last)
        self._open = len(piece) - last - 1
        self._returned = piece.endswith(self._return)

    def _search(self, piece: Piece, start: int, last: int) -> None:
        """Look through the whole lines of `piece[start:last + 1]`."""
        if self._longest < _LEAP_FROM:
            lines = piece[start:last].split(self._feed)
            if self._return in piece:
                self._note(max(len(line) - line.endswith(self._return) for line in lines))
            else:
                self._note(max(map(len, lines)))
            return
        while start <= last:
            feed = piece.rfind(self._feed, start, start + self._longest + 1)
            if feed < 0:
                feed = piece.index(self._feed, start)
                self._note(feed - start - piece.endswith(self._return, start, feed))
            start = feed + 1

    def _note(self, length: int) -> None:
        if length > self._longest:
            self._longest = length
