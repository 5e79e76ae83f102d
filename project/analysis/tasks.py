"""The job: read a file, and say what is in it."""

import time
from dataclasses import asdict
from typing import Any

from celery import shared_task
from django.utils.translation import gettext as _

from notifications.jobs import Progress, TrackedTask
from project.analysis import uploads
from project.analysis.analyse import analyse


class FileUnreadable(Exception):
    """The uploaded file is gone, or the disk doesn't give it."""


@shared_task(base=TrackedTask, result_template="analysis/result.html", retryable=True)
def analyse_file(upload: str, name: str) -> dict[str, Any]:
    """
    Return the figures of the kept file `upload`, which people know as `name`, and remove it.

    Where that fails, or is cancelled, the file stays for another attempt.
    """
    started = time.monotonic()
    path = uploads.path_of(upload)
    try:
        with path.open("rb") as file:
            progress = Progress(path.stat().st_size, unit="B", message=_("Reading"))
            figures = analyse(file, progress.update)
    except OSError as error:
        # Without its path, which the owner of the job has no business with.
        reason = error.strerror or type(error).__name__
        raise FileUnreadable(_("The uploaded file can't be read: %s") % reason) from error
    uploads.discard(upload)
    return {"name": name, **asdict(figures), "seconds": round(time.monotonic() - started, 3)}


@shared_task
def discard_old_uploads() -> int:
    """Remove what uploads were left behind; beat calls this once in an hour."""
    return uploads.discard_old()
