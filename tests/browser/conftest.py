"""Fixtures of the browser tests: one Chromium, one site on SQLite, a fresh window for each test."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import DEADLINE_MS, OpenWindow, Window, chromium
from tests.support.site import Site
from tests.support.visitor import Visitor

LIMIT_BYTES = 100_000
LONG_BYTES = 25_000_000  # enough work to be watched


# Not for longer than these tests: see tests/support/browser.py.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=DEADLINE_MS)
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def site(databases: Any) -> Iterator[Site]:
    """The site as a demo, on SQLite: what a browser sees does not depend on the database."""
    site = Site(databases["sqlite"], "sqlite", webs=2, workers=1, env={"DEMO": "1"})
    yield site
    site.close()


@pytest.fixture(scope="package")
def strict_site(databases: Any) -> Iterator[Site]:
    """A site that takes small files only."""
    env = {"MAX_UPLOAD_BYTES": str(LIMIT_BYTES)}
    site = Site(databases["sqlite"], "sqlite", webs=1, env=env)
    yield site
    site.close()


@pytest.fixture
def open_window(browser: Browser) -> Iterator[OpenWindow]:
    """Open browsers for visitors: `open_window(visitor, color_scheme="dark")`.

    A complaint that the test did not expect fails it.
    """
    windows: list[Window] = []

    def open_window(visitor: Visitor, **options: Any) -> Window:
        windows.append(Window(browser, visitor, **options))
        return windows[-1]

    yield open_window
    complaints = [text for window in windows for text in window.complaints]
    for window in windows:
        window.close()
    assert not complaints


@pytest.fixture(scope="package")
def long_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A large file of real text: Python's own sources, again and again."""
    sources = sorted(Path(os.__file__).parent.glob("*.py"))
    text = b"".join(source.read_bytes() for source in sources)
    path = tmp_path_factory.mktemp("uploads") / "python-sources.txt"
    with path.open("wb") as file:
        while file.tell() < LONG_BYTES:
            file.write(text)
    return path
