"""The site as an ASGI application: `project.asgi:application`.

From outside to inside: the streams (each layer around them is passed with every message), static
files (they need nothing of Django's request handling), the limit on a request's body, Django. Each
passes on what it doesn't handle.
"""

import os
import tempfile
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
_django: Any = get_asgi_application()  # first: it loads the apps, which the imports below need

from django.conf import settings  # noqa: E402

from notifications.asgi import EventStreams  # noqa: E402
from project.security import refuse_default_secret_key  # noqa: E402
from project.static import StaticFiles  # noqa: E402
from project.uploads import LimitBody  # noqa: E402

refuse_default_secret_key()
# Django spools the body of every request here: on the disk that the uploads will be on.
tempfile.tempdir = str(settings.FILE_UPLOAD_TEMP_DIR)
_requests: Any = StaticFiles(LimitBody(_django, settings.MAX_UPLOAD_BYTES))
application = EventStreams(_requests)
