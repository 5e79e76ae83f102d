"""What the tests of faults share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.test import override_settings

from tests.support.history_streams import allow_many_files
from tests.support.site import Site
from tests.support.visitor import Visitor


@pytest.fixture(autouse=True, scope="session")
def many_files():
    allow_many_files()


@contextmanager
def _publishing(make_site: Callable[..., Site]) -> Iterator[Callable[..., Site]]:
    overrides = []

    def make(**options) -> Site:
        site = make_site(**options)
        override = override_settings(NOTIFICATIONS_REDIS_URL=site.redis.url)
        override.enable()
        overrides.append(override)
        return site

    yield make
    for override in reversed(overrides):
        override.disable()


@pytest.fixture
def publish_to(make_site):
    """Make a site whose Redis is that of `publish()` in this process: `publish_to(webs=2, …)`."""
    with _publishing(make_site) as make:
        yield make


@pytest.fixture(scope="module")
def publish_to_of_module(make_site_of_module):
    """Make a site that the tests of a module share."""
    with _publishing(make_site_of_module) as make:
        yield make


@pytest.fixture
def channel_of():
    def channel(visitor: Visitor) -> str:
        """Return the visitor's own channel, as the home page's cursor names it."""
        page = visitor.get("/").text
        return page.partition('data-cursor="')[2].partition('"')[0].rpartition(":")[0]

    return channel
