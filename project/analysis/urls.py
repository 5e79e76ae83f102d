"""The address of the analysis: the home page."""

from django.urls import path

from project.analysis.views import home

app_name = "analysis"

urlpatterns = [path("", home, name="home")]
