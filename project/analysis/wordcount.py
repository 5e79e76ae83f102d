"""Lines and words of a byte stream, as `wc -lw` counts them."""

import codecs
import re
import sys
import unicodedata
from functools import cache

from project.analysis.characters import character_ranges

# One byte per class. A visible one is what the codecs put for a character beyond ASCII; the bits of
# the others matter too, see `_word_starts`.
_SPACE, _VISIBLE, _UNSEEN = b"\0", b"?", b"\1"
_BITS_OF_VISIBLE = _VISIBLE[0].bit_count()

_ASCII_SPACES = b"\t\n\v\f\r "
_CLASSES = bytes(
    _SPACE[0]
    if byte in _ASCII_SPACES
    else _VISIBLE[0]
    if 0x20 < byte < 0x7F
    else byte  # left for the decoder
    if byte >= 0x80
    else _UNSEEN[0]
    for byte in range(256)
)

# iswspace() of the C.UTF-8 locale among what is printable, and the no-break spaces that wc adds.
_WIDE_SPACES = "\u1680\u205f\u3000\u00a0\u202f\u2060" + "".join(map(chr, range(0x2000, 0x200B)))


class WordCount:
    """Counts the lines and words of a byte stream fed in pieces of any size.

    Equal to `LC_ALL=C.UTF-8 wc -lw` of GNU coreutils up to 9.4, whatever the bytes are:

    - a line is a line feed;
    - a word is a run between spaces in which at least one character is printable. Control
      characters, unassigned code points and bytes that are no UTF-8 neither make a word nor end
      one;
    - a space is what iswspace() calls one and is printable, or one of wc's no-break spaces
      (U+00A0, U+2007, U+202F, U+2060).

    Two limits. From coreutils 9.5 on, wc takes bytes that are no UTF-8 for parts of words, so files
    that aren't UTF-8 may show more words there. And what is printable comes from Python's Unicode
    tables, which may be of another version than the C library's.

    Holds no more than the piece it is given.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.words = 0
        self._last = _SPACE
        self._cut = b""  # the start of a UTF-8 sequence whose end hasn't come yet

    def feed(self, piece: bytes) -> None:
        self.lines += piece.count(b"\n")
        classes = self._cut + piece.translate(_CLASSES)
        if not classes.isascii():
            text, used = codecs.utf_8_decode(classes, "ignore", False)
            self._cut = classes[used:]
            classes = _classify(text)
        else:
            self._cut = b""
        if _UNSEEN in classes:
            classes = classes.translate(None, _UNSEEN)
        if classes:
            self.words += _word_starts(classes)
            self.words -= self._last == _VISIBLE == classes[:1]
            self._last = classes[-1:]


def _word_starts(classes: bytes) -> int:
    """Count the visible bytes that don't follow a visible one, in bytes that are visible or spaces.

    As one number, shifted by a byte against itself: far faster than to split, or to count a
    pattern.
    """
    number = int.from_bytes(classes, "little")
    following = number & (number << 8)
    return (number.bit_count() - following.bit_count()) // _BITS_OF_VISIBLE


def _classify(text: str) -> bytes:
    """Bring what is beyond ASCII in `text` into the three classes."""
    for space in _WIDE_SPACES:
        if space in text:
            text = text.replace(space, "\0")
    return _unseen_or_astral().sub(_only_printable, text).encode("ascii", "replace")


@cache
def _unseen_or_astral() -> re.Pattern[str]:
    # The code points above U+FFFF stand in one range and are looked at one by one when met:
    # hundreds of ranges there would slow the match of every other character, for which `re` has a
    # table.
    unseen = character_ranges(lambda character: not _is_printable(character), 0x80, 0xFFFF)
    return re.compile(f"[{unseen}\U00010000-{chr(sys.maxunicode)}]+")


def _only_printable(match: re.Match[str]) -> str:
    return "".join(filter(_is_printable, match[0]))


def _is_printable(character: str) -> bool:
    """Say what iswprint() says in the C.UTF-8 locale of glibc."""
    return unicodedata.category(character) not in {"Cc", "Cn", "Cs", "Zl", "Zp"}
