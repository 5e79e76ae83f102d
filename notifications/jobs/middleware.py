"""
Whose request it is: the owner of the jobs that it queues and that name none.

    MIDDLEWARE = [..., "django.contrib.auth.middleware.AuthenticationMiddleware",
                  "notifications.jobs.middleware.CurrentUser", ...]
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

_request: ContextVar[HttpRequest | None] = ContextVar("carillon_request", default=None)


UNSET: Final[Any] = object()


def owner_pk(owner: Any) -> Any:
    """Return the key of a job's owner: a user, its key, or if UNSET whose request this is."""
    return current_user_pk() if owner is UNSET else getattr(owner, "pk", owner)


def current_user_pk() -> Any:
    """Return the primary key of the user whose request is handled here; None if there is none."""
    request = _request.get()
    user = getattr(request, "user", None)
    return user.pk if user is not None and user.is_authenticated else None


class CurrentUser:
    """Remembers the request while it is handled, in threads and in coroutines."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._acall(request)
        token = _request.set(request)
        try:
            response: HttpResponseBase = self.get_response(request)
        finally:
            _request.reset(token)
        return response

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        token = _request.set(request)
        try:
            response: HttpResponseBase = await self.get_response(request)
        finally:
            _request.reset(token)
        return response
