"""The site's settings, from environment variables.

Every process of the site (web, worker, beat, a shell) reads this file with the same environment,
and so finds the same database and the same Redis: by default both are in `VAR_DIR`.
"""

import os
from pathlib import Path
from typing import Any

import dj_database_url
from environs import Env

from notifications.conf import SETTINGS, from_text
from project import security
from project.redis_url import celery_broker_url, default_redis_url

env = Env()

# What an operator sets. An empty variable is one that is not set: `DEBUG= make run`.
VARIABLES = (
    *("SECRET_KEY", "DEBUG", "DEMO", "ALLOWED_HOSTS", "HOST", "PORT"),
    *("DATABASE_URL", "REDIS_URL", "VAR_DIR", "MAX_UPLOAD_BYTES"),
)
for _name in VARIABLES:
    if os.environ.get(_name) == "":
        del os.environ[_name]

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Environment ----------------------------------------------------------------------------------

DEBUG = env.bool("DEBUG", False)
# A trial on this machine: demo accounts with public passwords, loopback addresses only, no
# SECRET_KEY needed.
DEMO = env.bool("DEMO", False)
SECRET_KEY = env.str("SECRET_KEY", security.INSECURE_SECRET_KEY)
HOST = env.str("HOST", "127.0.0.1")
PORT = env.int("PORT", 8000)
ALLOWED_HOSTS = [
    name.strip() for name in env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
]
VAR_DIR = Path(env.str("VAR_DIR", str(BASE_DIR / "var"))).expanduser().absolute()
REDIS_URL = env.str("REDIS_URL", default_redis_url(VAR_DIR))
MAX_UPLOAD_BYTES = env.int("MAX_UPLOAD_BYTES", 2 * 1024**3)

# --- Application ----------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "django_eventstream",
    "notifications",
    "notifications.jobs",
    "notifications.reminders",
    "project",
    "project.analysis",
    "project.archive",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "notifications.jobs.middleware.CurrentUser",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "notifications.reminders.context_processors.unread",
            ],
        },
    },
]

# --- Database -------------------------------------------------------------------------------------

DATABASE_URL = env.str("DATABASE_URL", "")

SQLITE_OPTIONS: dict[str, Any] = {
    # A transaction takes the write lock when it begins: one that starts with a read can't fail
    # half-way with "database is locked" when it comes to write.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,  # seconds to wait for the lock
    # Readers don't block the writer (WAL). NORMAL: a power cut may lose the last commits, never
    # damage the file.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}

_database: dict[str, Any] = (
    dict(dj_database_url.parse(DATABASE_URL))
    if DATABASE_URL
    else {"ENGINE": "django.db.backends.sqlite3", "NAME": VAR_DIR / "db.sqlite3"}
)
if _database["ENGINE"] == "django.db.backends.sqlite3":
    _database["OPTIONS"] = {**SQLITE_OPTIONS, **_database.get("OPTIONS", {})}
DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis, live messages and tasks ---------------------------------------------------------------

NOTIFICATIONS_REDIS_URL = REDIS_URL
if _database["ENGINE"] == "django.db.backends.sqlite3":
    # No view waits for a database that is a file, so a second thread would only be in the way.
    NOTIFICATIONS_VIEW_THREADS = 1
# Every other setting of the package may come from the environment, under its own name.
for _name, _setting in SETTINGS.items():
    _value = env.str(f"NOTIFICATIONS_{_name}", "")
    if _value and _name != "REDIS_URL":
        globals()[f"NOTIFICATIONS_{_name}"] = from_text(_value, _setting.default)
EVENTSTREAM_CHANNELMANAGER_CLASS = "notifications.eventstream.ChannelManager"
EVENTSTREAM_STORAGE_CLASS = "notifications.eventstream.Storage"

CELERY_BROKER_URL = celery_broker_url(REDIS_URL)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Redis hands a message that nobody has acknowledged for this long to another worker: longer
    # than the longest job, or it would run twice at the same time.
    "visibility_timeout": 24 * 60 * 60,
    # A page that queues a job must not hang with a Redis that does.
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_max": 0.2}
CELERY_TIMEZONE = "UTC"
CELERY_TASK_IGNORE_RESULT = True  # a job's result is a database row
# Where the parts of a chord meet; nothing else is kept there, and that for a day.
CELERY_RESULT_BACKEND = CELERY_BROKER_URL
CELERY_RESULT_EXPIRES = 24 * 60 * 60
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {"socket_connect_timeout": 2, "socket_timeout": 5}
# A task's message stays queued until the task has ended: a worker that is stopped or killed loses
# none.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = (
    1  # a long task must not hold back the short ones that wait behind it
)
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = (
    False  # a moment without Redis costs no work
)
CELERY_WORKER_HIJACK_ROOT_LOGGER = False  # LOGGING below holds for the worker too
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_BEAT_SCHEDULE = {
    "discard-old-uploads": {
        "task": "project.analysis.tasks.discard_old_uploads",
        "schedule": 60 * 60,
    },
}
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "beat-schedule")

# --- Accounts and sessions ------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "analysis:home"
LOGOUT_REDIRECT_URL = "login"
SESSION_ENGINE = "django.contrib.sessions.backends.db"

# --- Headers --------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = security.CONTENT_SECURITY_POLICY
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"

# --- Language and time ----------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [
    ("en", "English")
]  # only what `locale/` holds in full: half-translated pages are worse than English
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# --- Files ----------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = VAR_DIR / "static"  # for `collectstatic`, where a front server hands them out
MEDIA_ROOT = VAR_DIR / "uploads"
FILE_UPLOAD_TEMP_DIR = (
    MEDIA_ROOT / "incoming"
)  # beside the uploads, so that keeping a file is a rename

# Every command needs these, also the first one on a fresh clone. Private: they hold people's files.
VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
FILE_UPLOAD_TEMP_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)

# --- Logging --------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
            "datefmt": "%H:%M:%S",
        },
    },
    "handlers": {
        "stdout": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "formatter": "line",
        },
    },
    "root": {"handlers": ["stdout"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "level": "INFO"},
        # The worker's own report of each task's start and end; the start-up banner says the rest.
        "celery": {"level": "INFO"},
        "kombu": {"level": "WARNING"},
    },
}
