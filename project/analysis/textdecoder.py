"""The encoding of a file, found while it is read, and its text."""

import codecs

from charset_normalizer import from_bytes

BINARY = "binary"
UNKNOWN = "unknown-8bit"  # RFC 1428's name for text in no encoding that can be told

# UTF-32 stands first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le", "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "utf-16-be"),
)
_SAMPLE_BYTES = 1 << 16  # what the guess looks at: some 0.1 s of work
# So many sequences of UTF-8 before the first mistake are no accident: it is damaged UTF-8.
_SEQUENCES_OF_UTF8 = 16
_ASCII_SAMPLE = b"\n 09AZaz"
# Control characters that no text has; as in file(1), except for the C1 controls.
_NO_TEXT = bytes([*range(0x07), *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F])


class TextDecoder:
    """Turns a file, fed in pieces, into text, and names its encoding.

    - A byte order mark says it all: `utf-8-sig`, `utf-16-le`, …
    - Without one, `us-ascii` as long as no byte is beyond ASCII, then `utf-8` as long as the bytes
      are strictly that.
    - At the first bytes that aren't, charset-normalizer guesses from a sample of the piece in hand
      (so a piece shouldn't be small), and the guess holds from there on. Where much proper UTF-8
      came before, the file is taken for damaged and is `unknown-8bit`, read as UTF-8 with its bad
      bytes replaced.
    - A NUL outside UTF-16 and UTF-32 makes a file `binary`, and so do bytes that no encoding fits,
      or that come with control characters.

    `feed` returns None once the file is known to be binary. The guess is made once per file at
    most; the decoder holds a sample besides the piece it is given.
    """

    def __init__(self) -> None:
        self.encoding = "us-ascii"
        self._decoder: codecs.IncrementalDecoder | None = None
        self._started = False
        self._strict = True
        self._sequences = 0
        self._sample = b""

    def feed(self, piece: bytes) -> str | None:
        if not self._started and piece:
            self._started = True
            piece = self._read_mark(piece)
        wide = self.encoding.startswith(("utf-16", "utf-32"))
        if self.encoding == BINARY or (not wide and b"\0" in piece):
            return self._give_up()
        if self._decoder is None:
            if piece.isascii():
                self._sample = piece[-_SAMPLE_BYTES:]
                return piece.decode("ascii")
            self.encoding = "utf-8"
            self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        return self._decode(self._decoder, piece, final=False)

    def finish(self) -> str | None:
        """Return the text still held back: some only where the file ends within a character."""
        if self.encoding == BINARY:
            return None
        return "" if self._decoder is None else self._decode(self._decoder, b"", final=True)

    def _read_mark(self, piece: bytes) -> bytes:
        for mark, name, codec in _MARKS:
            if piece.startswith(mark):
                self.encoding = name
                self._decoder = codecs.getincrementaldecoder(codec)("strict")
                return piece[len(mark) :]
        return piece

    def _decode(
        self, decoder: codecs.IncrementalDecoder, piece: bytes, *, final: bool
    ) -> str | None:
        held = decoder.getstate()[0] if self._strict else b""
        try:
            text = decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            if self.encoding != "utf-8":
                return self._give_up()
            return self._decode_by_guess(held + piece, error.start, final=final)
        if self._strict and self._sequences < _SEQUENCES_OF_UTF8:
            self._sequences += _sequences(text)
        if self._strict and self.encoding == "utf-8" and piece:
            self._sample = piece[-_SAMPLE_BYTES:]
        if self.encoding.startswith(("utf-16", "utf-32")) and "\0" in text:
            return self._give_up()
        return text

    def _decode_by_guess(self, piece: bytes, mistake: int, *, final: bool) -> str | None:
        """Go on after the first bytes of `piece` that aren't UTF-8, which stand at `mistake`."""
        self._strict = False
        self._sequences += _sequences(piece[:mistake].decode("utf-8"))
        if self._sequences >= _SEQUENCES_OF_UTF8:
            self.encoding, codec = UNKNOWN, "utf-8"
        else:
            self.encoding = codec = _guess(_sample(piece, mistake) if not final else self._sample)
        self._sample = b""
        if self.encoding == BINARY:
            return self._give_up()
        self._decoder = codecs.getincrementaldecoder(codec)("replace")
        return self._decoder.decode(piece, final)

    def _give_up(self) -> str | None:
        self.encoding = BINARY
        self._decoder = None
        self._sample = b""
        return None


def _sequences(text: str) -> int:
    """Count the bytes that continue a character of UTF-8: one at least per character not ASCII."""
    return len(text.encode("utf-8")) - len(text)


def _sample(piece: bytes, mistake: int) -> bytes:
    """Cut the sample to guess from: whole lines, if short, from the one with the mistake on."""
    start = piece.rfind(b"\n", 0, mistake) + 1
    start = max(start, mistake - _SAMPLE_BYTES // 2)
    sample = piece[start : start + _SAMPLE_BYTES]
    if start + len(sample) < len(piece) and (end := sample.rfind(b"\n")) > mistake - start:
        sample = sample[: end + 1]
    return sample


def _guess(sample: bytes) -> str:
    if len(sample) != len(sample.translate(None, _NO_TEXT)):
        return BINARY
    for match in from_bytes(sample):  # the likeliest first
        codec = codecs.lookup(match.encoding)
        # Not EBCDIC and its like: what came so far was ASCII, or nothing.
        if codec.decode(_ASCII_SAMPLE)[0] == _ASCII_SAMPLE.decode():
            return codec.name
    return BINARY
