"""The form that writes a reminder: what it says, to whom, and when."""

from typing import Any
from uuid import uuid4

from django import forms
from django.contrib.admin.widgets import AdminRadioSelect, AutocompleteSelectMultiple
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..audience import Users, chosen
from ..models import Occurrence, Reminder
from . import timing
from .when import WhenForm

# The classes that are generic in the type stubs are not at run time: hence `type-arg`, here and in
# `admin`.

TEXT_FIELDS = ("title", "text", "level", "link", "expires", "acknowledge")
FILTER_FIELDS = ("filter_active_since", "filter_joined_before", "filter_staff")
WIDE_FIELDS = ("everyone", *FILTER_FIELDS)  # may address all, and so need a permission
AUDIENCE_FIELDS = ("users", "groups", *WIDE_FIELDS)
WHEN_FIELDS = (
    *("when", "local_at", "send_if_past", "repeats", "every", "days", "month_by", "until"),
    *("rule", "zone"),
)
ACTIONS = ("schedule", "send", "test")  # and "draft"

EDITABLE = (Reminder.State.DRAFT, Reminder.State.SCHEDULED)

DATE_AND_TIME = "%Y-%m-%dT%H:%M"


class KeysWidget(AutocompleteSelectMultiple):
    """Asks the server as one types, so that the page doesn't list every user of the site."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        # A refused form is shown again with what came, and Django's widget would look up even
        # what can't be a key.
        key = self.field.remote_field.model._meta.pk
        return super().optgroups(name, [pk for pk in value if may_be_key(key, pk)], attr)


class KeysField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    """
    Rows by their keys. Whoever may not see what they are called sees their keys again, no more.

    Django's own field lets a number that the database can't hold reach it.
    """

    shows_names = True

    def label_from_instance(self, obj: Any) -> str:
        return super().label_from_instance(obj) if self.shows_names else f"#{obj.pk}"

    def clean(self, value: Any) -> Any:
        rows: Any = self.queryset
        for pk in value or ():
            if not may_be_key(rows.model._meta.pk, pk):
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


class ReminderForm(WhenForm, forms.ModelForm):  # type: ignore[type-arg]
    """
    A reminder, as far as it can still be changed; the button that was pressed is a field's name.

    A draft may be unfinished. What is scheduled or sent has an audience and a time to come, and
    goes to everyone only if ``may_send_to_everyone``. Without its field of users those that were
    chosen before stay.
    """

    may_send_to_everyone = False
    is_preview = False  # nothing is to be saved: what is not finished yet is no error
    typed: Any = None  # what is shown again, though it is not saved

    users = KeysField(
        label=_("Users"),
        required=False,
        queryset=get_user_model()._default_manager.filter(is_active=True),
        error_messages={
            "invalid_choice": _("%(value)s is not an active user. Choose the users again."),
            "invalid_pk_value": _("“%(pk)s” is not a user. Choose the users again."),
        },
    )
    groups = KeysField(
        label=_("Groups"),
        required=False,
        queryset=Group.objects.all(),
        help_text=_("Whoever is a member when it is sent."),
        error_messages={
            "invalid_choice": _("%(value)s is no group. Choose the groups again."),
            "invalid_pk_value": _("“%(pk)s” is not a group. Choose the groups again."),
        },
    )
    # Declared, since the admin makes two fields of it.
    expires = forms.DateTimeField(
        label=_("Expires"),
        required=False,
        widget=forms.DateTimeInput({"type": "datetime-local"}, format=DATE_AND_TIME),
    )
    level = forms.ChoiceField(
        label=_("Level"),
        choices=Reminder.Level.choices,
        initial=Reminder.Level.INFO,
        widget=AdminRadioSelect(attrs={"class": "radiolist inline"}),
        help_text=_("Urgent ones stay on the page until they are dismissed."),
    )
    # Of one form that is sent off twice, by a double click for one, one reminder is made.
    token = forms.UUIDField(required=False, initial=uuid4, widget=forms.HiddenInput)
    # What was read of the model's `version`, which no form may change.
    seen = forms.IntegerField(required=False, widget=forms.HiddenInput, min_value=0)

    class Meta:
        model = Reminder
        fields = (*TEXT_FIELDS, *AUDIENCE_FIELDS, "local_at", "zone", "rule")
        field_classes = {"text": PlainTextField}
        help_texts = {
            "text": _("Plain text: line breaks are kept, and addresses become links."),
            "filter_staff": _(
                "Who may use this admin. Of these last three, people must match all that you give."
            ),
        }
        widgets = {
            "text": forms.Textarea({"rows": 5, "class": "vLargeTextField"}),
            "filter_active_since": forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
            "filter_joined_before": forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if self.typed is not None:
            kwargs["data"] = self.typed
            self.is_preview = "_test" not in self.typed
        super().__init__(*args, **kwargs)
        self.initial["seen"] = self.instance.version
        zone = timezone.get_current_timezone_name()
        self.fields["expires"].help_text = _(
            "By the clocks of %(zone)s. After this it is sent to nobody, and fades out where it "
            "was not read."
        ) % {"zone": zone}
        if not self.may_send_to_everyone:
            for name in WIDE_FIELDS:
                self.fields[name].disabled = True
            self.fields["everyone"].help_text = _(
                "Everyone and the filters need the permission to send to everyone."
            )

    @property
    def action(self) -> str:
        return next((name for name in ACTIONS if f"_{name}" in self.data), "draft")

    def audience(self) -> Users:
        """Return whom the form addresses, as far as its fields are valid."""
        values = self.cleaned_data
        users = values.get("users") if "users" in self.fields else self.instance.users.all()
        return chosen(
            everyone=bool(values.get("everyone")),
            users=() if users is None else users,
            groups=values.get("groups") or (),
            active_since=values.get("filter_active_since"),
            joined_before=values.get("filter_joined_before"),
            staff=bool(values.get("filter_staff")),
        )

    def clean(self) -> None:
        super().clean()
        if self.is_preview:
            if self.cleaned_data.get("local_at"):
                self._check_when()
            return
        expires = self.cleaned_data.get("expires")
        if self.action != "draft" and expires is not None and expires <= timezone.now():
            self.add_error("expires", _("This has passed: nobody would get it."))
        if self.action == "test":
            return
        if self.instance.pk is not None:
            self._check_version()
        if self.action == "send" and is_repeating(self.instance):
            self.add_error(
                None,
                _(
                    "This goes on by its rule. Duplicate it to send it once beside that, or cancel "
                    "it to end it."
                ),
            )
        if self.action != "draft":
            self._check_audience()
        if self.action == "schedule":
            self._check_when()

    def _check_version(self) -> None:
        """Refuse to save what somebody else has saved, sent or cancelled in the meantime."""
        # Locked until it is saved, Django's view of this form being one transaction; in the order
        # in which beat does it.
        due = Occurrence.objects.filter(reminder=self.instance.pk, state=Occurrence.State.DUE)
        list(due.select_for_update().values_list("pk"))
        rows = Reminder.objects.select_for_update().filter(pk=self.instance.pk)
        found = rows.values_list("version", "state").first()
        seen = (self.cleaned_data.get("seen"), self.instance.state)
        if found is None or found != seen:
            raise ValidationError(
                _(
                    "Somebody else has changed this reminder, or it was sent, since you opened it. "
                    "Open it in another tab to see it as it is now; nothing of yours was saved."
                ),
                code="conflict",
            )

    def _check_audience(self) -> None:
        if any(self.cleaned_data.get(name) for name in WIDE_FIELDS) and (
            not self.may_send_to_everyone
        ):
            self.add_error(
                None, _("You may not send to everyone or by a filter; somebody else has chosen it.")
            )
        # One that is refused is said already.
        elif not set(AUDIENCE_FIELDS) & set(self.errors) and not self.audience().exists():
            self.add_error(
                None, _("This would reach nobody. Choose users, groups, a filter, or everyone.")
            )

    def _check_when(self) -> None:
        values = self.cleaned_data
        if {"local_at", "zone", "rule"} & set(self.errors):
            return
        local_at, zone, rule = values["local_at"], values["zone"], values["rule"]
        if not local_at:
            self.add_error("when", _("Choose a time, or send it now."))
            return
        if self.errors and not self.is_preview:
            return
        clocks = timing.clocks(zone, self.audience())
        if not rule:
            passed = timing.passed_in(local_at, clocks)
            if passed and not values.get("send_if_past"):
                self.add_error("local_at", timing.past_sentence(passed, clocks))
            # There is nothing left to wait for.
            values["is_past"] = passed == clocks
        if expires := values.get("expires"):
            late = timing.expired_in(expires, local_at, rule, clocks)
            if late and "expires" not in self.errors:
                self.add_error("expires", timing.expired_sentence(late, clocks))


def is_repeating(reminder: Reminder) -> bool:
    """Whether it is sent again and again, as it was saved."""
    return reminder.state == Reminder.State.SCHEDULED and bool(reminder.rule)


def may_be_key(key: Any, text: Any) -> bool:
    """Tell whether the primary key ``key`` of a table could have this value."""
    try:
        key.run_validators(key.to_python(text))
    except ValidationError:
        return False
    return True
