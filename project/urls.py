"""The site's addresses."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.urls import include, path

urlpatterns = [
    path("", include("project.analysis.urls")),
    path("jobs/", include("notifications.jobs.urls")),
    path("reminders/", include("notifications.reminders.urls")),
    path("events/", include("notifications.urls")),
    path(
        "login/",
        auth_views.LoginView.as_view(
            redirect_authenticated_user=True, extra_context={"demo": settings.DEMO}
        ),
        name="login",
    ),
    path("logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
]
