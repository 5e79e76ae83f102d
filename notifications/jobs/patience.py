"""
Patience with a database that is away for a moment: a run must not be lost with its last word.
"""

import logging
import time
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

PAUSES_SECONDS: Final = (0.0, 1.0, 2.0, 4.0)  # before each further attempt


def patiently(step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """
    Take a step in the life of a job; again where the database can't be reached, for some seconds.

    A connection that was cut while the task ran is only found out now. Raises what the last
    attempt raised. In a transaction there is one attempt.
    """
    for pause in PAUSES_SECONDS:
        try:
            return step(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            if connection.in_atomic_block:
                raise
            logger.warning("The database did not take the state of a job: %s", error)
            connection.close_if_unusable_or_obsolete()
            time.sleep(pause)
    return step(*args, **kwargs)
