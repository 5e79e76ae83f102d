"""What the tests of faults share."""

import pytest
from django.test import override_settings

from tests.support.history_streams import allow_many_files
from tests.support.site import Site
from tests.support.visitor import Visitor


@pytest.fixture(autouse=True, scope="session")
def many_files():
    allow_many_files()


@pytest.fixture
def publish_to(make_site):
    """Make a site whose Redis is that of `publish()` in this process: `publish_to(webs=2, …)`."""
    overrides = []

    def make(**options) -> Site:
        site = make_site(**options)
        override = override_settings(NOTIFICATIONS_REDIS_URL=site.redis.url)
        override.enable()
        overrides.append(override)
        return site

    yield make
    for override in overrides:
        override.disable()


@pytest.fixture
def channel_of():
    def channel(visitor: Visitor) -> str:
        """Return the visitor's own channel, as the home page's cursor names it."""
        page = visitor.get("/").text
        return page.partition('data-cursor="')[2].partition('"')[0].rpartition(":")[0]

    return channel
