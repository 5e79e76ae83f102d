"""The job that runs here."""

from .models import Job
from .running import current_reporter


def current_job() -> Job | None:
    """
    Return the job that runs here, as it was when it started; None outside one.

    It is the one that the task's functions report to: read it, and don't save it.
    """
    reporter = current_reporter()
    return reporter.job if reporter is not None else None
