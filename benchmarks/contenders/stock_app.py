"""
Stock's application and addresses: what its README says, and nothing else.
"""

import os

from django.core.asgi import get_asgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.contenders.stock_settings"
application = get_asgi_application()  # first: it loads the apps, which the addresses need

from django.urls import include, path  # noqa: E402

urlpatterns = [path("events/", include("django_eventstream.urls"))]
