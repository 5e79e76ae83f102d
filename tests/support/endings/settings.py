"""The settings of the site under test, and the tasks of this package.

Dead workers are noticed within seconds, so that tests need not wait for a minute.
"""

from tests.support.site_settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.support.endings"]  # noqa: F405
for name, seconds in {"HEARTBEAT": 1, "SWEEP": 1, "LOST": 5, "CANCEL_GRACE": 1}.items():
    globals().setdefault(f"NOTIFICATIONS_JOB_{name}_SECONDS", seconds)  # the environment first
