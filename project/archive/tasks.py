"""The jobs: one for each file of an archive, and one that sums up; together they are a group."""

import time
import zlib
from dataclasses import asdict
from typing import Any, Final
from zipfile import BadZipFile, ZipFile

from celery import chord, shared_task
from django.utils.translation import gettext as _

from notifications.jobs import Progress, TrackedTask, start_group
from notifications.jobs.models import Job
from project.analysis import uploads
from project.analysis.analyse import analyse
from project.analysis.forms import clean_name
from project.archive.members import Member

PASSWORD_NEEDED: Final = 0x1  # a bit in the flags of a member


class MemberUnreadable(Exception):
    """A file of the archive can't be unpacked."""


def start(upload: str, name: str, members: list[Member], owner: object) -> Job:
    """Queue the analysis of the archive `upload`, which people know as `name`, as one job."""
    parts = []
    for member in members:
        part = analyse_member.s(upload, member.index)
        parts.append(part.set(title=clean_name(member.path)))  # type: ignore[call-arg]
    last = sum_up.s(upload, name).set(title=_("Sum up"))  # type: ignore[call-arg]
    return start_group(chord(parts, last), owner=owner, title=name)


@shared_task(base=TrackedTask, result_template="analysis/result.html")
def analyse_member(upload: str, index: int) -> dict[str, Any]:
    """Return the figures of one file of the kept archive `upload`."""
    started = time.monotonic()
    try:
        with ZipFile(uploads.path_of(upload)) as archive:
            info = archive.infolist()[index]
            if info.flag_bits & PASSWORD_NEEDED:
                raise MemberUnreadable(_("A password is needed to read it."))
            progress = Progress(info.file_size, unit="B", message=_("Reading"))
            with archive.open(info) as file:
                figures = analyse(file, progress.update)  # type: ignore[arg-type]
    except (BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
        raise MemberUnreadable(_("It is damaged, or packed in a way unknown here.")) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MemberUnreadable(_("The uploaded file can't be read: %s") % reason) from error
    seconds = round(time.monotonic() - started, 3)
    return {"name": info.filename, **asdict(figures), "seconds": seconds}


@shared_task(base=TrackedTask, result_template="archive/result.html")
def sum_up(parts: list[dict[str, Any]], upload: str, name: str) -> dict[str, Any]:
    """Return the figures of all files together, and a line for each; remove the archive."""
    uploads.discard(upload)
    return {
        "name": name,
        **{figure: sum(part[figure] for part in parts) for figure in ("size", "lines", "words")},
        "files": [
            {figure: part[figure] for figure in ("name", "size", "lines", "words", "encoding")}
            for part in parts
        ],
    }
