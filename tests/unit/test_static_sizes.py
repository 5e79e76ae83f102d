"""What a page makes a browser load stays small: there is no build step to make it so."""

import gzip
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "static" / "notifications" / "js"

ALL_BYTES = 8 * 1024
STREAM_BYTES = 3 * 1024
STREAM = ("stream.js", "tabs.js", "snapshot.js", "local-time.js")  # and what it imports


def gzipped_bytes(names: list[str]) -> int:
    return len(gzip.compress(b"".join((SCRIPTS / name).read_bytes() for name in names)))


def test_all_scripts_together_are_small():
    names = sorted(path.name for path in SCRIPTS.glob("*.js"))
    assert set(STREAM) < set(names)
    assert gzipped_bytes(names) <= ALL_BYTES


def test_the_stream_alone_is_smaller_still():
    assert gzipped_bytes(list(STREAM)) <= STREAM_BYTES


def test_the_stream_imports_nothing_else():
    imported = {
        line.rpartition('"./')[2].rstrip('";\n')
        for name in STREAM
        for line in (SCRIPTS / name).read_text().splitlines()
        if line.startswith("import ")
    }
    assert imported <= set(STREAM)
