"""The site around Carillon: its settings, its own job and pages, and the commands that run it."""

from project.celery import app as celery_app

__all__ = ["celery_app"]
