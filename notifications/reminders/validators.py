"""What the link of a reminder may be: it ends up in the ``href`` of other people's pages."""

import re
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

# Browsers drop tabs and line breaks from an address and read "\" as "/", so "/\host" and
# "/<tab>/host" lead off the site.
_NEVER_IN_A_LINK = re.compile(r"[\s\x00-\x1f\x7f\\]")


def validate_link(link: str) -> None:
    """Raise ``ValidationError`` unless ``link`` is an http(s) address or a path of this site."""
    if _NEVER_IN_A_LINK.search(link):
        raise ValidationError(
            _("A link has no spaces, line breaks or backslashes."), code="invalid_link"
        )
    if link.startswith("/") and not link.startswith("//"):
        return
    try:
        parts = urlsplit(link)
        web_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        parts.port  # noqa: B018 - a port that is not a number from 0 to 65535 raises here
    except ValueError:
        web_address = False
    if not web_address:
        raise ValidationError(
            _(
                "Enter an address that begins with http:// or https://, or a path of this site "
                "that begins with a single slash, like /jobs/."
            ),
            code="invalid_link",
        )
