"""The site's settings for tests in this process: a throw-away VAR_DIR, and passwords that are quick
to check.
"""

import atexit
import os
import shutil
import tempfile

# Whatever the environment says, a test must not touch a real site's data.
for name in (
    "DATABASE_URL",
    "REDIS_URL",
    "DEBUG",
    "DEMO",
    "HOST",
    "PORT",
    "ALLOWED_HOSTS",
    "MAX_UPLOAD_BYTES",
):
    os.environ.pop(name, None)
os.environ["SECRET_KEY"] = "only for tests"
os.environ["VAR_DIR"] = tempfile.mkdtemp(prefix="carillon-unit-")
atexit.register(shutil.rmtree, os.environ["VAR_DIR"], ignore_errors=True)

from project.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]

# A file, as the site's own: a database in memory refuses one thread while another reads or writes.
# It is thrown away with VAR_DIR.
DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}  # noqa: F405
