"""The most frequent words of a text of any length, in bounded memory."""

import re
import sys
import unicodedata
from collections import Counter
from functools import cache
from heapq import nsmallest
from itertools import islice

from project.analysis.characters import character_ranges

WORD_CHARACTERS = 64  # longer words are cut: what runs on further is data rather than language
_BLOCK_CHARACTERS = 1 << 18  # bounds the list of words made at once
_MOST_WORDS = 60_000  # distinct words held, at most about 25 MB
_KEPT_WORDS = 30_000  # distinct words left after a pruning

# For UTF-8: ASCII letters in lower case, other ASCII but digits as spaces, the rest as it is.
_ASCII_WORDS = bytes(
    byte if byte >= 0x80 else ord(chr(byte).lower()) if chr(byte).isalnum() else 0x20
    for byte in range(256)
)
_FIRST_BYTES_OF_ASTRAL = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")


class FrequentWords:
    """Counts the words of a text fed in pieces of any size.

    A word is an unbroken run of letters, digits and combining marks (Unicode's categories L, N and
    M); anything else stands between words: `don't` is two, `snake_case` is two. Upper and lower
    case are the same (Unicode case folding). Of a word longer than `WORD_CHARACTERS`, only that
    much counts.

    Memory is bounded by lossy counting: when too many different words have come, the rarest are
    forgotten. What was forgotten can have been there `_forgotten` times at most, and so can a word
    that comes (back) after that have been before; `_earlier` holds that bound for each word. Where
    the bounds show that no other word can reach the top, the answer is exact in spite of it.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._earlier: dict[str, int] = {}
        self._forgotten = 0
        self._cut = ""  # a word at the end of the last piece, which may go on

    def feed(self, text: str) -> None:
        for start in range(0, len(text), _BLOCK_CHARACTERS):
            self._feed_block(text[start : start + _BLOCK_CHARACTERS])

    def finish(self) -> None:
        """Count the word at the very end."""
        if self._cut:
            self._count([self._cut.casefold()])
            self._cut = ""

    def most_common(self, number: int) -> tuple[list[tuple[str, int]], bool]:
        """Return the `number` most frequent words with their counts, and whether that is exact.

        The most frequent stands first; words equally frequent in the order of their characters.
        """
        counts = self._counts
        top = nsmallest(number, counts.items(), key=lambda item: (-item[1], item[0]))
        if not self._forgotten:
            return top, True
        bounds = Counter({word: count + self._bound(word) for word, count in counts.items()})
        proven = len(top) == number and all(bounds[word] == count for word, count in top)
        for word, _ in top:
            del bounds[word]
        rival = max(bounds.values(), default=0)
        return top, proven and top[-1][1] > max(rival, self._forgotten)

    def _feed_block(self, text: str) -> None:
        spaced = _only_words(self._cut + text)
        words = spaced.split()
        # Where a word ends with the block, the next one may go on with it.
        self._cut = "" if spaced.endswith(" ") or not words else words.pop()[:WORD_CHARACTERS]
        if spaced.isascii():
            self._count(words)
            return
        counts: Counter[str] = Counter()
        for word, count in Counter(words).items():
            counts[word[:WORD_CHARACTERS].casefold()] += count
        self._counts.update(counts)
        self._prune()

    def _count(self, words: list[str]) -> None:
        counts = self._counts
        known = len(counts)
        counts.update(words)
        # Looking only at the new keys for long ones spares a look at every word.
        new = islice(reversed(counts), len(counts) - known)
        for word in [word for word in new if len(word) > WORD_CHARACTERS]:
            counts[word[:WORD_CHARACTERS]] += counts.pop(word)
        self._prune()

    def _prune(self) -> None:
        counts = self._counts
        if len(counts) <= _MOST_WORDS:
            return
        earlier, forgotten = self._earlier, self._forgotten
        bounds = {word: count + earlier.get(word, forgotten) for word, count in counts.items()}
        limit = sorted(bounds.values())[-_KEPT_WORDS]
        # Of those just at the limit, any may stay; the bound of what goes is the limit then.
        kept = [word for word, bound in bounds.items() if bound > limit]
        at_limit = (word for word, bound in bounds.items() if bound == limit)
        kept.extend(islice(at_limit, _KEPT_WORDS - len(kept)))
        self._earlier = {word: bounds[word] - counts[word] for word in kept}
        self._counts = Counter({word: counts[word] for word in kept})
        self._forgotten = limit

    def _bound(self, word: str) -> int:
        """Say how often `word` may have come before it was counted."""
        return self._earlier.get(word, self._forgotten)


def _only_words(text: str) -> str:
    """Return `text` with a space for each character that is in no word, and ASCII in lower case.

    In steps that each run in C over the whole text: a regular expression that finds the words, or
    `str.translate`, takes twice as long.
    """
    encoded = text.encode().translate(_ASCII_WORDS)
    text = encoded.decode()
    if not encoded.isascii():
        text = _between_words().sub(" ", text)
        if any(byte in encoded for byte in _FIRST_BYTES_OF_ASTRAL):
            text = _ASTRAL.sub(_only_astral_words, text)
    return text


@cache
def _between_words() -> re.Pattern[str]:
    # Without the code points above U+FFFF: for these, `re` would try hundreds of ranges in turn at
    # every other character.
    return re.compile(f"[{character_ranges(lambda c: not _is_in_words(c), 0x80, 0xFFFF)}]+")


def _only_astral_words(match: re.Match[str]) -> str:
    return "".join(character if _is_in_words(character) else " " for character in match[0])


def _is_in_words(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM"


_ASTRAL = re.compile(f"[\U00010000-{chr(sys.maxunicode)}]+")
