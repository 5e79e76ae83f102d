from django.urls import path

from . import views

app_name = "reminders"

urlpatterns = [
    path("", views.list_reminders, name="list"),
    path("<int:pk>/open/", views.open_link, name="open"),
    path("read/", views.read, name="read"),
    path("unread/", views.unread, name="unread"),
    path("snooze/", views.snooze, name="snooze"),
    path("acknowledge/", views.acknowledge, name="acknowledge"),
    path("delivered/", views.delivered, name="delivered"),
    path("settings/", views.settings, name="settings"),
]
