"""The site's Celery app. Its settings are the CELERY_* names of `project.settings`."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

app = Celery("project")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def refuse_an_unsafe_worker(**kwargs: Any) -> None:
    from project.security import refuse_default_secret_key

    refuse_default_secret_key()
