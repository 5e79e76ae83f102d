"""
Commands as bytes: Lua scripts, and the other few commands that storage needs.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import hiredis

Word = str | int | bytes


def command(*words: Word) -> bytes:
    """Return a command as it goes over the wire."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]
    return packed


class Script:
    """A Lua script, called by its digest; a server that does not know it yet is told the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.load = command("SCRIPT", "LOAD", text)

    def call(self, keys: Sequence[str], args: Sequence[Word]) -> bytes:
        """Return the call by digest; ``NoScriptError`` where the server does not know it."""
        return command("EVALSHA", self.sha, len(keys), *keys, *args)

    def whole(self, keys: Sequence[str], args: Sequence[Word]) -> bytes:
        """Return the call with the text, which the server will know from then on."""
        return command("EVAL", self.text, len(keys), *keys, *args)


def first_error(replies: Sequence[Any]) -> Exception | None:
    """Return the first of ``replies`` that is an error."""
    return next((reply for reply in replies if isinstance(reply, Exception)), None)
