"""
Stock's settings, as small as Django allows.

No middleware, no sessions, no database: less than any site would have, so faster than any.
"""

import os

SECRET_KEY = "only for measuring"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "benchmarks.contenders.stock_app"
INSTALLED_APPS = ["django_eventstream"]
USE_TZ = True

_REDIS = {"unix_socket_path": os.environ.get("REDIS_URL", "").removeprefix("unix://")}
EVENTSTREAM_STORAGE_CLASS = "django_eventstream.storage.RedisStorage"
EVENTSTREAM_STORAGE_CONNECTION = _REDIS
EVENTSTREAM_REDIS = _REDIS  # publishes for its listener, and has the view start it
