"""The stream's address: include it in a site's ``urlpatterns`` under ``events/``."""

from django.urls import path

from .views import events

app_name = "notifications"

urlpatterns = [path("", events, name="events")]
