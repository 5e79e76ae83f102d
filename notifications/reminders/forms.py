"""The form that writes a reminder: its text, and whom it goes to."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AutocompleteSelectMultiple
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from .models import Reminder

# The classes that are generic in the type stubs are not at run time: hence `type-arg`, here and in
# `admin`.

TEXT_FIELDS = ("title", "text", "level", "link")


class RecipientsWidget(AutocompleteSelectMultiple):
    """Asks the server as one types, so that the page doesn't list every user of the site."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        # A refused form is shown again with what came, and Django's widget would look up even
        # what can't be a key.
        return super().optgroups(name, [pk for pk in value if may_be_user_key(pk)], attr)


class RecipientsField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    """Active users. Django's field lets a number that the database can't hold reach it."""

    def clean(self, value: Any) -> Any:
        for pk in value or ():
            if not may_be_user_key(pk):
                raise ValidationError(
                    self.error_messages["invalid_pk_value"],
                    code="invalid_pk_value",
                    params={"pk": pk},
                )
        return super().clean(value)


class PlainTextField(forms.CharField):
    """Text as it was typed: browsers send a line break as two characters, and it counts as one."""

    def to_python(self, value: Any) -> Any:
        return (super().to_python(value) or "").replace("\r\n", "\n")


class ReminderForm(forms.ModelForm):  # type: ignore[type-arg]
    recipients = RecipientsField(
        label=_("Recipients"),
        queryset=get_user_model()._default_manager.filter(is_active=True),
        error_messages={
            "required": _("Choose at least one recipient."),
            "invalid_choice": _("%(value)s is not an active user. Choose the recipients again."),
            "invalid_pk_value": _("“%(pk)s” is not a user. Choose the recipients again."),
        },
    )

    class Meta:
        model = Reminder
        fields = TEXT_FIELDS
        field_classes = {"text": PlainTextField}


def may_be_user_key(text: Any) -> bool:
    """Tell whether the user table's primary key could have this value."""
    key = get_user_model()._meta.pk
    try:
        key.run_validators(key.to_python(text))
    except ValidationError:
        return False
    return True
