"""Analyse a file: what `sha256sum` and `wc -lw` say of it, its encoding, its frequent words."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from project.analysis.frequent import FrequentWords
from project.analysis.lines import LongestLine
from project.analysis.textdecoder import TextDecoder
from project.analysis.wordcount import WordCount

CHUNK_BYTES = 1 << 20
FREQUENT_WORDS = 20


@dataclass(frozen=True, slots=True)
class Analysis:
    """What there is to say of a file.

    `lines` and `words` equal `LC_ALL=C.UTF-8 wc -lw` for any bytes (limits: see `WordCount`).
    `longest_line` is in characters, in bytes where the encoding is `binary`. `encoding` is named
    as in `TextDecoder`. `frequent_words` holds up to 20 pairs of a case-folded word and its count
    (what a word is: see `FrequentWords`), none of a binary file; `frequent_words_exact` is False
    where so many different words came that the list can't be proven.
    """

    size: int
    sha256: str
    lines: int
    words: int
    longest_line: int
    encoding: str
    frequent_words: list[tuple[str, int]]
    frequent_words_exact: bool


def analyse(file: BinaryIO, progress: Callable[[int], object] | None = None) -> Analysis:
    """Read `file` from where it stands to its end, once, in chunks of 1 MiB.

    `progress` is called with the number of bytes read after each chunk. Memory stays bounded (some
    tens of MiB) whatever the file consists of: one line without an end, words that all differ.
    """
    size = 0
    digest = hashlib.sha256()
    counts = WordCount()
    text = _Text()
    while chunk := file.read(CHUNK_BYTES):
        size += len(chunk)
        digest.update(chunk)
        counts.feed(chunk)
        text.feed(chunk)
        if progress is not None:
            progress(len(chunk))
    text.finish()
    frequent, exact = text.frequent_words(FREQUENT_WORDS)
    return Analysis(
        size=size,
        sha256=digest.hexdigest(),
        lines=counts.lines,
        words=counts.words,
        longest_line=text.longest_line,
        encoding=text.encoding,
        frequent_words=frequent,
        frequent_words_exact=exact,
    )


class _Text:
    """The figures that depend on the encoding."""

    def __init__(self) -> None:
        self._decoder = TextDecoder()
        self._words = FrequentWords()
        self._bytes = LongestLine(b"\n", b"\r")
        # Made when characters and bytes part ways; up to there, a line has as many of both.
        self._characters: LongestLine[str] | None = None

    @property
    def encoding(self) -> str:
        return self._decoder.encoding

    @property
    def longest_line(self) -> int:
        return (self._characters or self._bytes).length

    def frequent_words(self, number: int) -> tuple[list[tuple[str, int]], bool]:
        return self._words.most_common(number)

    def feed(self, chunk: bytes) -> None:
        text = self._decoder.feed(chunk)
        if text is not None and self._characters is None and self.encoding != "us-ascii":
            self._characters = self._bytes.as_text()
        self._bytes.feed(chunk)
        self._feed_text(text)

    def finish(self) -> None:
        self._feed_text(self._decoder.finish())
        self._words.finish()

    def _feed_text(self, text: str | None) -> None:
        if text is None:
            self._characters = None
            self._words = FrequentWords()
            return
        if self._characters is not None:
            self._characters.feed(text)
        self._words.feed(text)
