"""
Pages that go on where they were rendered: a snapshot, and the cursor from which to follow it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

from . import sse, storage
from .channels import user_channel
from .exceptions import RedisUnavailable

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


@dataclass(frozen=True, slots=True)
class Live:
    """What a page needs to open its stream: an address, a cursor, and whether Redis answered."""

    url: str
    cursor: str
    available: bool


def live_page(view: View[P]) -> View[P]:
    """
    Decorate a view whose page is live; it sets ``request.live`` (None for anonymous users).

    The cursor is read before the view reads its data, so the stream that the page opens leaves no
    gap: it repeats what the page may know already. When Redis can't be reached the page renders
    all the same, with a cursor that is never proven, so its stream begins with a reset.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        request.live = follow(request.user)  # type: ignore[attr-defined]
        return view(request, *args, **kwargs)

    return cast(View[P], wrapper)


def follow(user: Any) -> Live | None:
    """Return what a page needs to follow its user's channel from now on; None for a visitor."""
    if not user.is_authenticated:
        return None
    channel = user_channel(user)
    try:
        cursor, available = sse.format_cursor(storage.cursors([channel])), True
    except RedisUnavailable:
        cursor, available = no_cursor([channel]), False
    return Live(reverse("notifications:events"), cursor, available)


def no_cursor(channels: Iterable[str]) -> str:
    """Return what proves nothing: a stream that opens from it begins with a reset."""
    return sse.format_cursor(dict.fromkeys(channels, 0))
