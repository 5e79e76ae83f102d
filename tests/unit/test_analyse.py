"""The figures of a file, held against the programs `sha256sum` and `wc`."""

import io
import itertools
import os
import random
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from project.analysis.analyse import CHUNK_BYTES, analyse
from project.analysis.lines import LongestLine
from project.analysis.wordcount import WordCount
from tests.support.processes import ROOT

# Each of these is a case of its own for wc: what separates, what is printable, what is cut short.
PARTS = [
    *(b"a", b"Z9", b" ", b"\n", b"\r\n", b"\t", b"\v", b"\f", b"\0", b"\x1b", b"\x7f", b"\x1c"),
    *("é €😀ß一\u0301".encode(), "\u00a0".encode(), "\u2007\u202f".encode(), "\u2060".encode()),
    *("\u3000\u2003\u1680\u205f".encode(), "\u2028".encode(), "\u0085".encode()),
    *("\ufeff\u00ad\u200b\ue000\u180e".encode(), "\u0378\ufffe\U0010ffff".encode()),
    *(b"\xe2\x82", b"\xe2", b"\x82", b"\xf0\x9f\x98", b"\xc3", b"\xff", b"\xc0\x80", b"\xe9"),
    *(b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80"),
]
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8"}


def run(program, *paths):
    done = subprocess.run([*program, *paths], env=ENVIRONMENT, capture_output=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


def wc(*paths):
    """Return lines and words of each file, according to wc."""
    return [
        (int(lines), int(words)) for lines, words, *_ in run(["wc", "-lw"], *paths)[: len(paths)]
    ]


@cache
def wc_counts_bad_bytes():
    """Whether this wc takes bytes that are no UTF-8 for parts of words: from coreutils 9.5 on."""
    done = subprocess.run(
        ["wc", "-w"], env=ENVIRONMENT, input=b"\xff", capture_output=True, check=True
    )
    return int(done.stdout) == 1


def assert_counts_equal_wc(paths, counts):
    for path, counted, expected in zip(paths, counts, wc(*paths), strict=True):
        if wc_counts_bad_bytes() and not is_utf8(path):
            counted, expected = counted[:1], expected[:1]
        assert counted == expected, path


def is_utf8(path):
    try:
        path.read_bytes().decode()
    except UnicodeDecodeError:
        return False
    return True


def figures(data):
    return analyse(io.BytesIO(data))


def system_files(*patterns, most=60, most_bytes=3_000_000):
    """Return real files that nobody made for this test."""
    roots = [Path("/usr/share"), Path("/usr/lib"), Path(sys.prefix) / "lib"]
    found = []
    for pattern in patterns:
        matching = []
        for root in roots:
            for directory, _, names in os.walk(root):
                paths = (Path(directory, name) for name in names if Path(name).match(pattern))
                matching += [p for p in paths if p.is_file() and not p.is_symlink()][:most]
                if len(matching) >= most:
                    break
        found += [p for p in matching[:most] if p.stat().st_size <= most_bytes]
    return found


def test_figures_equal_those_of_sha256sum_and_wc_on_files_of_the_system():
    paths = system_files("*.py", "*.so*", "*.mo", "*.png", "*.gz", "*.txt", "*.pyc", "*.whl")
    assert len(paths) > 100
    found = []
    for path in paths:
        with path.open("rb") as file:
            found.append(analyse(file))
    assert_counts_equal_wc(paths, [(f.lines, f.words) for f in found])
    sums = [line[0].decode() for line in run(["sha256sum", "--"], *paths)]
    assert [f.sha256 for f in found] == [s.removeprefix("\\") for s in sums]
    assert [f.size for f in found] == [p.stat().st_size for p in paths]


def test_words_equal_those_of_wc_on_any_bytes_in_pieces_of_any_size(tmp_path):
    paths, counts = [], []
    for seed in range(150):
        chance = random.Random(seed)
        # wc reads 16 KiB at a time: the longer ones cross that.
        length = chance.choice([1, 4, 40, 2_000, 25_000])
        data = b"".join(chance.choices(PARTS, k=length)) if seed % 3 else chance.randbytes(length)
        path = tmp_path / f"seed {seed}"
        path.write_bytes(data)
        count = WordCount()
        while data:
            size = chance.choice([1, 2, 3, 5, 200, 4_000])
            count.feed(data[:size])
            data = data[size:]
        paths.append(path)
        counts.append((count.lines, count.words))
    assert_counts_equal_wc(paths, counts)


@pytest.mark.parametrize("part", PARTS)
def test_a_chunk_may_end_anywhere(part, tmp_path):
    path = tmp_path / "file"
    for before in range(1, len(part) + 1):
        path.write_bytes(b"x" * (CHUNK_BYTES - before) + part + b"y z")
        with path.open("rb") as file:
            found = analyse(file)
        assert_counts_equal_wc([path], [(found.lines, found.words)])


def test_an_empty_file_has_a_result():
    found = figures(b"")
    assert found.sha256 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert (found.size, found.lines, found.words, found.longest_line) == (0, 0, 0, 0)
    assert (found.encoding, found.frequent_words, found.frequent_words_exact) == (
        "us-ascii",
        [],
        True,
    )


def test_progress_adds_up_to_the_size():
    seen = []
    analyse(io.BytesIO(bytes(2 * CHUNK_BYTES + 5)), seen.append)
    assert seen == [CHUNK_BYTES, CHUNK_BYTES, 5]


def test_reading_begins_where_the_file_stands():
    file = io.BytesIO(b"skipped kept")
    file.seek(8)
    assert analyse(file).size == 4


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"one\nthree\ntwo\n", 5),
        (b"no line feed", 12),
        (b"a\r\nbcd\r\n", 3),
        (b"x\n\r\n\n", 1),
        (b"a\rb\n", 3),
        ("é€😀\nab".encode(), 3),
        ("äöü\n".encode("utf-16"), 3),
        ("größte Länge\n".encode() * 2, 12),
        (("Größe: überall dasselbe für ähnliche Wörter\n" * 9).encode("cp1252"), 43),
        (b"\0\xff\xff\n\0", 3),  # binary: bytes
    ],
)
def test_the_longest_line_is_in_characters_without_its_end(data, length):
    assert figures(data).longest_line == length


def reference_of_longest_line(text):
    *lines, rest = text.split("\n")
    return max([len(line.removesuffix("\r")) for line in lines] + [len(rest)])


def test_the_longest_line_is_found_in_pieces_of_any_size():
    for seed in range(60):
        chance = random.Random(seed)
        weights = chance.choice([(1, 1, 1), (1, 1, 30), (1, 0, 300)])
        text = "".join(chance.choices("\n\rx", weights, k=4_000))
        lines = LongestLine("\n", "\r")
        rest = text
        while rest:
            size = chance.choice([1, 2, 50, 1_500])
            lines.feed(rest[:size])
            rest = rest[size:]
        assert lines.length == reference_of_longest_line(text), seed


def test_a_line_that_is_longer_by_one_is_noticed():
    text = "\n".join("x" * length for length in [*range(70, 130), 5, 7])
    lines = LongestLine("\n", "\r")
    lines.feed(text)
    assert lines.length == 129


# A child's own peak, so that what other tests left in this process doesn't count.
PEAK = """
import io, resource, sys
from project.analysis.analyse import analyse
from tests.unit.test_analyse import Endless

def peak():  # of this program alone: ru_maxrss begins with that of the process that started it
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024

analyse(io.BytesIO("é \U0001f600 a".encode()))  # makes the tables of Unicode
before = peak()
found = analyse(Endless(sys.argv[1], int(sys.argv[2])))
assert found.size == int(sys.argv[2])
print(peak() - before)
"""


class Endless(io.RawIOBase):
    """A file that is made while it is read."""

    def __init__(self, kind, size):
        self._pieces = getattr(self, kind)()
        self._left = size
        self._rest = b""

    def read(self, size=-1):
        size = min(size, self._left)
        while len(self._rest) < size:
            self._rest += next(self._pieces)
        data, self._rest = self._rest[:size], self._rest[size:]
        self._left -= size
        return data

    def one_line_without_a_space(self):
        while True:
            yield b"x" * CHUNK_BYTES

    def words_that_all_differ(self):
        numbers = itertools.count()
        while True:
            yield b"".join(b"%x " % number for number in itertools.islice(numbers, 100_000))

    def long_words_that_all_differ(self):
        numbers = itertools.count()
        while True:
            yield "".join(f"{next(numbers)}{'𐐀' * 100} " for _ in range(1_000)).encode()


@pytest.mark.parametrize(
    ("kind", "megabytes"),
    [
        ("one_line_without_a_space", 200),
        ("words_that_all_differ", 15),
        ("long_words_that_all_differ", 60),
    ],
)
def test_memory_is_bounded_whatever_the_file_consists_of(kind, megabytes):
    command = [sys.executable, "-c", PEAK, kind, str(megabytes * 1_000_000)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 64
