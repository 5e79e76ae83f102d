"""
Values as a row can hold them: JSON, without the characters that a database refuses.

Those are NUL, which PostgreSQL does not take, and half a surrogate pair, which is no UTF-8.
"""

import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from kombu.utils.json import dumps, loads


class NotStorable(Exception):
    """The value is not JSON, or has text in it that would have to be changed."""


def clean(value: Any) -> Any:
    """Return text, or JSON with text in it, with a replacement for what can't be kept."""
    if isinstance(value, str):
        if not value.isascii():
            value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value


def result(value: Any) -> tuple[Any, bool]:
    """Return a task's result as JSON, and whether it is that: text stands for what is not."""
    try:
        text = json.dumps(value, cls=DjangoJSONEncoder, allow_nan=False)
        suspect = "\\u0000" in text or "\\ud" in text
        return clean(json.loads(text)) if suspect else json.loads(text), True
    except (TypeError, ValueError, RecursionError):
        return clean(_text(value)), False


def pack(value: Any) -> Any:
    """
    Return a task's arguments as JSON, dates and the like as Celery's own serializer writes them.

    Raises ``NotStorable`` where ``unpack`` would not give the same back.
    """
    try:
        text = dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotStorable(str(error)) from error
    packed = json.loads(text, parse_constant=_refuse)
    if clean(packed) != packed:
        raise NotStorable("Text with NUL characters or half a surrogate pair can't be stored")
    return packed


def unpack(value: Any) -> Any:
    """Return what ``pack`` was given."""
    return loads(json.dumps(value))


def _refuse(constant: str) -> Any:
    raise NotStorable(f"{constant} is not JSON")


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"
