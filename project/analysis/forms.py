"""The upload form."""

import re
import unicodedata
from typing import Any, Self

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.template.defaultfilters import filesizeformat
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext_lazy as _

NAME_MAX_LENGTH = 200  # characters; a job's title


class UploadForm(forms.Form):
    """One file of any kind, also an empty one, up to `MAX_UPLOAD_BYTES`.

    `unpack`: where it is an archive, look at each file in it.
    """

    file = forms.FileField(
        label=_("File"),
        allow_empty_file=True,
        error_messages={
            "required": _("Choose a file first."),
            "missing": _("Choose a file first."),
            "invalid": _("That was not a file. Choose one and send the form again."),
        },
    )

    unpack = forms.BooleanField(label=_("Look into each file of a zip archive"), required=False)

    def clean_file(self) -> "UploadedFile[Any]":
        file: UploadedFile[Any] = self.cleaned_data["file"]
        if (file.size or 0) > settings.MAX_UPLOAD_BYTES:
            raise too_large()
        return file

    @classmethod
    def refused(cls) -> Self:
        """Return the form for a request whose body was too large to be read at all."""
        form = cls(data={}, files=MultiValueDict())
        form.errors.clear()
        form.add_error("file", too_large())
        return form

    @property
    def name(self) -> str:
        """The file's name as a title: without path, control or direction characters."""
        return clean_name(self.cleaned_data["file"].name)


def too_large() -> forms.ValidationError:
    size = filesizeformat(settings.MAX_UPLOAD_BYTES)
    return forms.ValidationError(
        _("This file is too large. The most is %(size)s."), code="too_large", params={"size": size}
    )


def clean_name(name: Any) -> str:
    """Return the last part of a path, printable, at most `NAME_MAX_LENGTH` characters."""
    last = re.split(r"[/\\]", str(name or ""))[-1]
    # Cc: control; Cf: among others the marks that turn the direction of text; Cs: half surrogates.
    kept = "".join(c for c in last if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"})
    return " ".join(kept.split())[:NAME_MAX_LENGTH] or str(_("Unnamed file"))
