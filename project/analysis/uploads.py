"""
Where uploaded files wait for their job: under `MEDIA_ROOT`, each with a name of its own.
"""

import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.move import file_move_safe
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile


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
