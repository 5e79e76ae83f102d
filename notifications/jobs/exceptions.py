"""What jobs raise."""

from celery.exceptions import Ignore


class JobCancelled(Ignore):
    """
    Somebody has cancelled the job: raised where the task reports its progress.

    A task may catch it to clean up and should raise it again. It is one of Celery's own ways to
    end a task, so ``autoretry_for`` does not try it again.
    """


class NotPossible(Exception):
    """What was asked of a job can't be done, as it stands; the text says why."""
