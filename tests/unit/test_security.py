from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from project.security import (
    INSECURE_SECRET_KEY,
    is_loopback,
    refuse_default_secret_key,
    refuse_public_demo,
)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]"])
def test_loopback_addresses(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "192.168.1.4", "example.org", "127.0.0.1.example.org"]
)
def test_addresses_that_others_may_reach(host: str) -> None:
    assert not is_loopback(host)


def test_the_default_key_is_refused(settings: Any) -> None:
    settings.SECRET_KEY, settings.DEMO, settings.DEBUG = INSECURE_SECRET_KEY, False, False
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
        refuse_default_secret_key()


@pytest.mark.parametrize("mode", ["DEMO", "DEBUG"])
def test_the_default_key_will_do_for_a_trial(settings: Any, mode: str) -> None:
    settings.SECRET_KEY, settings.DEMO, settings.DEBUG = INSECURE_SECRET_KEY, False, False
    setattr(settings, mode, True)
    refuse_default_secret_key()


def test_a_key_of_ones_own_is_accepted(settings: Any) -> None:
    settings.SECRET_KEY, settings.DEMO, settings.DEBUG = "my own", False, False
    refuse_default_secret_key()


def test_a_demo_that_others_may_reach_is_refused(settings: Any) -> None:
    settings.DEMO = True
    refuse_public_demo("127.0.0.1")
    with pytest.raises(ImproperlyConfigured, match=r"HOST is '0\.0\.0\.0'"):
        refuse_public_demo("0.0.0.0")


def test_a_site_with_keys_of_its_own_may_be_public(settings: Any) -> None:
    settings.DEMO = False
    refuse_public_demo("0.0.0.0")
