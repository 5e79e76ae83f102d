"""What a person has chosen of reminders: the zone of their clocks, quiet hours, what disturbs."""

from typing import Any, Final
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from . import zones
from .models import Preference, Reminder
from .recurrence import InvalidZone, check_zone

ZONE_COOKIE: Final = "zone"


def preference_of(user: Any) -> Preference:
    """Return what ``user`` has chosen, or an unsaved one that says what holds without a choice."""
    return Preference.objects.filter(user_id=user.pk).first() or Preference(user=user)


def device_zone(request: HttpRequest) -> str:
    """Return the time zone that the browser's script left in a cookie; "" where it is none."""
    try:
        return check_zone(request.COOKIES.get(ZONE_COOKIE, ""))
    except InvalidZone:
        return ""


def zone_of(request: HttpRequest) -> str:
    """Return the zone of the clock that the person is looking at, as far as it is known."""
    return device_zone(request) or zones.resolve(preference_of(request.user).time_zone)


class PreferenceForm(forms.ModelForm):  # type: ignore[type-arg]
    time_zone = forms.ChoiceField(label=_("Time zone"), required=False)
    notify_from_level = forms.ChoiceField(
        label=_("Notify me of"),
        required=False,
        choices=[
            ("", _("Nothing")),
            (Reminder.Level.URGENT, _("Urgent reminders only")),
            (Reminder.Level.WARNING, _("Warnings and urgent reminders")),
            (Reminder.Level.SUCCESS, _("All but plain information")),
            (Reminder.Level.INFO, _("All reminders")),
        ],
    )

    class Meta:
        model = Preference
        fields = ("time_zone", "notify_from_level", "quiet_from", "quiet_to")
        labels = {"quiet_from": _("Quiet from"), "quiet_to": _("Quiet to")}
        widgets = {
            "quiet_from": forms.TimeInput({"type": "time"}, format="%H:%M"),
            "quiet_to": forms.TimeInput({"type": "time"}, format="%H:%M"),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        unknown = _("The site's own: %(zone)s") % {"zone": settings.TIME_ZONE}
        names = sorted(available_timezones() - {"localtime"})
        self.fields["time_zone"].choices = [("", unknown), *((name, name) for name in names)]  # type: ignore[attr-defined]

    def clean(self) -> None:
        super().clean()
        start, end = self.cleaned_data.get("quiet_from"), self.cleaned_data.get("quiet_to")
        if self.errors or start == end is None:
            return
        if start is None or end is None:
            raise ValidationError(_("Quiet hours have a beginning and an end, or neither."))
        if start == end:
            raise ValidationError(
                _("Quiet hours begin and end at different times. To be told nothing, choose so.")
            )

    def save(self, commit: bool = True) -> Any:
        """Save what was chosen, also where another tab does so for the first time just now."""
        preference, _made = Preference.objects.update_or_create(
            user=self.instance.user, defaults=self.cleaned_data
        )
        return preference
