"""Static files, at the ASGI level: before Django, its middleware and its thread per request.

Django's own ASGI handler for static files serves what the finders know, with DEBUG on or off and
without `collectstatic`, and asks nothing of a stream but one comparison of its path. It is enough
for a site of this size, so that no further package (whitenoise, servestatic, blacknoise) is needed.
A large site lets its front server hand out `STATIC_ROOT`, and then no such request comes here.
"""

from typing import Any

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.exceptions import SuspiciousOperation
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotFound,
)


class StaticFiles(ASGIStaticFilesHandler):
    """Serve `STATIC_URL`; pass everything else to the wrapped application.

    A browser keeps a file and asks each time whether it is still current (304 if so): names carry
    no version, so a longer life would show old styles after an update.
    """

    def __init__(self, application: Any) -> None:
        """Wrap any ASGI application (Django's annotation knows its own only)."""
        super().__init__(application)

    def serve(self, request: HttpRequest) -> HttpResponse | FileResponse:
        try:
            return super().serve(request)
        # A path that leads out of the files is suspicious, and one with a NUL a ValueError.
        except (Http404, SuspiciousOperation, ValueError):
            return HttpResponseNotFound("Not found", content_type="text/plain")

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        response = await super().get_response_async(request)
        response.headers["Cache-Control"] = "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response
