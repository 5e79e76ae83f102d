"""What is in a zip archive, before anything of it is unpacked."""

from dataclasses import dataclass
from typing import IO, Any, Final
from zipfile import BadZipFile, ZipFile, is_zipfile

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

MEMBERS_MAX: Final = 500  # each is a task of its own


class TooMuch(Exception):
    """The archive holds more than this site works through; the text says what."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive: its place in the list of contents, its path and its size."""

    index: int
    path: str
    size: int


def members_of(file: "IO[bytes] | Any") -> list[Member]:
    """
    Return the files in an archive, in its order; none where it is not an archive.

    Raises ``TooMuch`` for too many of them, or where they say that they are larger together than
    a single upload may be. More than a member says of itself is never read from it.
    """
    try:
        if not is_zipfile(file):
            return []
        with ZipFile(file) as archive:
            found = [
                Member(index, info.filename, info.file_size)
                for index, info in enumerate(archive.infolist())
                if not info.is_dir()
            ]
    except (BadZipFile, NotImplementedError, ValueError, OSError):
        return []
    finally:
        file.seek(0)
    if len(found) > MEMBERS_MAX:
        text = _("This archive has %(count)d files. The most is %(most)d.")
        raise TooMuch(text % {"count": len(found), "most": MEMBERS_MAX})
    if (size := sum(member.size for member in found)) > settings.MAX_UPLOAD_BYTES:
        text = _("Unpacked, this archive has %(size)s. The most is %(most)s.")
        most = filesizeformat(settings.MAX_UPLOAD_BYTES)
        raise TooMuch(text % {"size": filesizeformat(size), "most": most})
    return found
