"""
The beginning of a result as text, for a page: a result may have many megabytes.
"""

import json
from dataclasses import dataclass
from io import StringIO
from typing import Any, Final

PREVIEW_CHARACTERS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Preview:
    """The beginning of a result as text, and whether that is not all of it."""

    text: str
    cut: bool


def preview(result: Any) -> Preview:
    """Return the beginning of a result: text as it is, all else as indented JSON."""
    if isinstance(result, str):
        return Preview(result[:PREVIEW_CHARACTERS], len(result) > PREVIEW_CHARACTERS)
    text = StringIO()
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(result):
        text.write(piece)
        if text.tell() > PREVIEW_CHARACTERS:
            break
    return Preview(text.getvalue()[:PREVIEW_CHARACTERS], text.tell() > PREVIEW_CHARACTERS)
