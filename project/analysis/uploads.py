"""
Where uploaded files wait for their job: under `MEDIA_ROOT`, each with a name of its own.
"""

import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.files.move import file_move_safe
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile

# A file whose job has failed or was cancelled stays for another attempt, but not for ever: longer
# than a job waits in the queue.
KEEP_SECONDS: Final = 2 * 24 * 60 * 60


def path_of(name: str) -> Path:
    """Return where the upload `name` (as `keep` gave it) is."""
    return Path(settings.MEDIA_ROOT) / name


def keep(file: "UploadedFile[Any]") -> str:
    """Keep an uploaded file and return its name; a file that is on disk already is renamed."""
    name = uuid.uuid4().hex
    path = path_of(name)
    if isinstance(file, TemporaryUploadedFile):
        file_move_safe(file.temporary_file_path(), str(path))
    else:
        with path.open("wb") as stored:
            for chunk in file.chunks():
                stored.write(chunk)
    return name


def discard(name: str) -> None:
    """Remove an upload; it may be gone."""
    with suppress(FileNotFoundError):
        path_of(name).unlink()


def discard_old() -> int:
    """Remove the uploads that no job has taken for `KEEP_SECONDS`; return their number."""
    oldest = time.time() - KEEP_SECONDS
    old = [
        path
        for path in Path(settings.MEDIA_ROOT).iterdir()
        if path.is_file() and path.stat().st_mtime < oldest
    ]
    for path in old:
        discard(path.name)
    return len(old)
