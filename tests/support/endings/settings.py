"""The settings of the site under test, and the tasks of this package.

Dead workers are noticed within seconds, so that tests need not wait for a minute.
"""

from tests.support.site_settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.support.endings"]  # noqa: F405
NOTIFICATIONS_JOB_HEARTBEAT_SECONDS = 1
NOTIFICATIONS_JOB_SWEEP_SECONDS = 1
NOTIFICATIONS_JOB_LOST_SECONDS = 5
NOTIFICATIONS_JOB_CANCEL_GRACE_SECONDS = 1
