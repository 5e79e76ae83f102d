"""The site's addresses, and one more for tests: how many streams a process holds."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from notifications.hub import get_hub
from project.urls import urlpatterns as site_urlpatterns


async def open_streams(request: HttpRequest, user: str) -> HttpResponse:
    """Count those of the user with this primary key."""
    # On the event loop of the server, whose hub it is.
    streams = get_hub()._subscriptions
    return HttpResponse(sum(stream.holder.user == user for stream in streams))


urlpatterns = [*site_urlpatterns, path("open-streams/<user>/", open_streams)]
