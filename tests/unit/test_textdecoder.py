"""The encoding of a file, named while it is read."""

import codecs
import random

import pytest

from project.analysis.textdecoder import TextDecoder

GERMAN = (
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. Das wäre schön für dich.\n"
)
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. Это хорошая погода.\n"
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n"


def decode(data, size=1 << 20):
    decoder = TextDecoder()
    parts = [decoder.feed(data[start : start + size]) for start in range(0, len(data), size)]
    parts.append(decoder.finish())
    return decoder.encoding, None if None in parts else "".join(parts)


@pytest.mark.parametrize(
    ("data", "encoding", "text"),
    [
        (b"plain\r\n\f\x1b[0m", "us-ascii", "plain\r\n\f\x1b[0m"),
        (GERMAN.encode(), "utf-8", GERMAN),
        ("a😀".encode(), "utf-8", "a😀"),
        (codecs.BOM_UTF8 + b"plain", "utf-8-sig", "plain"),
        (codecs.BOM_UTF16_LE + GERMAN.encode("utf-16-le"), "utf-16-le", GERMAN),
        (codecs.BOM_UTF16_BE + GERMAN.encode("utf-16-be"), "utf-16-be", GERMAN),
        (codecs.BOM_UTF32_LE + GERMAN.encode("utf-32-le"), "utf-32-le", GERMAN),
        (codecs.BOM_UTF32_BE + GERMAN.encode("utf-32-be"), "utf-32-be", GERMAN),
        (b"text\0text", "binary", None),
        (codecs.BOM_UTF16_LE + b"\0\xd8\0\xd8", "binary", None),
        (codecs.BOM_UTF16_LE + b"a\0\0\0", "binary", None),
        (random.Random(1).randbytes(5_000), "binary", None),
        (bytes(byte for byte in random.Random(2).randbytes(5_000) if byte), "binary", None),
    ],
)
def test_the_encoding_is_named_and_the_text_right(data, encoding, text):
    assert decode(data) == (encoding, text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_pieces_may_be_small(encoding):
    # Not smaller than a byte order mark.
    for size in range(4, 20):
        assert decode(GERMAN.encode(encoding), size)[1] == GERMAN


@pytest.mark.parametrize(
    ("text", "codec"),
    [(GERMAN * 20, "cp1252"), (RUSSIAN * 20, "koi8-r"), (RUSSIAN * 20, "cp1251")],
)
def test_an_old_encoding_is_guessed_so_that_the_text_reads_right(text, codec):
    assert decode(text.encode(codec))[1] == text


def test_an_old_encoding_of_two_bytes_is_guessed():
    text = JAPANESE * 20
    assert decode(text.encode("shift_jis"))[1] == text


def test_plain_text_before_the_first_old_byte_stays():
    head = "plain\n" * 400_000  # more than a piece
    encoding, text = decode((head + GERMAN * 9).encode("cp1252"))
    assert encoding not in {"utf-8", "us-ascii", "binary"}
    assert text == head + GERMAN * 9


def test_damaged_utf8_is_unknown_and_read_as_utf8():
    encoding, text = decode((GERMAN * 9).encode() + b"\xff!")
    assert encoding == "unknown-8bit"
    assert text == GERMAN * 9 + "\ufffd!"


def test_a_nul_makes_a_file_binary_however_late_it_comes():
    assert decode(b"text " * 500_000 + b"\0") == ("binary", None)
    assert decode((GERMAN * 9).encode("cp1252") + b"\0", size=100)[0] == "binary"


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_character_may_be_cut_by_the_end_of_a_piece(size):
    text = GERMAN + JAPANESE + "😀"
    assert decode(text.encode(), size) == ("utf-8", text)


def test_a_file_that_ends_within_a_character_is_no_utf8():
    encoding, text = decode((GERMAN * 9).encode() + b"\xe2\x82")
    assert (encoding, text) == ("unknown-8bit", GERMAN * 9 + "\ufffd")
    assert decode(b"caf\xc3")[0] not in {"utf-8", "us-ascii"}
