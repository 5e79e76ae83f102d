"""The site's settings for its processes under test: all its own, but passwords are quick to check.

To hash one takes a third of a second on purpose, and every login here would pay for it. The tests
of `manage.py up` run the site with its own settings, and log in there.
"""

from project.settings import *  # noqa: F403

ROOT_URLCONF = "tests.support.site_urls"

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
