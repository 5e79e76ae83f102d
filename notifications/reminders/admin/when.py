"""When to send, as a form: now, at a time, or again and again."""

from datetime import date
from typing import Any, Final
from zoneinfo import available_timezones

from dateutil.relativedelta import relativedelta
from django import forms
from django.contrib.admin.widgets import AdminRadioSelect
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _

from .. import recurrence
from ..models import RULE_MAX_LENGTH
from . import repeating, timing

NOW: Final = "now"
AT: Final = "at"
RECURRING: Final = "recurring"

EVERY_MAX: Final = 99


def in_a_year() -> date:
    day: date = timezone.localdate() + relativedelta(years=1)
    return day


class WhenForm(forms.Form):
    """
    Asks for what a reminder has as ``local_at``, ``zone`` and ``rule``, and gives these, valid.

    The small form makes the rule out of what was ticked; whoever needs another writes it.
    """

    when = forms.ChoiceField(
        label=_("When"),
        choices=[(NOW, _("Now")), (AT, _("At a time")), (RECURRING, _("Again and again"))],
        initial=NOW,
        widget=AdminRadioSelect(attrs={"class": "radiolist inline"}),
    )
    local_at = forms.CharField(
        label=_("At"),
        required=False,
        max_length=40,
        widget=forms.DateTimeInput({"type": "datetime-local"}),
        help_text=_("The first time, where it comes again and again."),
    )
    send_if_past = forms.BooleanField(
        label=_("If this time has passed, send it now"), required=False
    )
    repeats = forms.ChoiceField(
        label=_("Repeats"),
        required=False,
        choices=[
            ("daily", _("Daily")),
            ("weekly", _("Weekly")),
            ("monthly", _("Monthly")),
            ("rule", _("By a rule")),
        ],
        initial="weekly",
    )
    every = forms.IntegerField(
        label=_("Every"),
        required=False,
        initial=1,
        min_value=1,
        max_value=EVERY_MAX,
        help_text=_("1 for each day, week or month; 2 for every other one."),
    )
    days = forms.MultipleChoiceField(
        label=_("On"),
        required=False,
        choices=list(zip(recurrence.DAYS, WEEKDAYS.values(), strict=True)),
        widget=forms.CheckboxSelectMultiple(attrs={"class": "checkboxlist inline"}),
        help_text=_("None: on the weekday of the first time."),
    )
    month_by = forms.ChoiceField(
        label=_("On"),
        required=False,
        choices=[
            ("day", _("The same day of the month as the first time")),
            ("weekday", _("The same weekday, like every second Monday")),
            ("last", _("The last day of the month")),
        ],
        initial="day",
    )
    until = forms.DateField(
        label=_("Until"),
        required=False,
        initial=in_a_year,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        help_text=_("The last day. You can put it off later, or cancel the reminder before."),
    )
    rule = forms.CharField(
        label=_("Rule"),
        required=False,
        max_length=RULE_MAX_LENGTH,
        widget=forms.TextInput({"class": "vTextField", "spellcheck": "false"}),
        help_text=_("An iCalendar RRULE that ends, like FREQ=YEARLY;BYMONTH=12;COUNT=5."),
    )
    zone = forms.CharField(
        label=_("By the clocks of"),
        required=False,
        max_length=100,
        widget=forms.Select,
        help_text=_(
            "A time that clocks skip as they are put forward comes as much later; of one that they "
            "show twice as they are put back, the first counts."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = sorted(available_timezones() - {"localtime"})
        own = [("", _("Each reader's own time zone"))]
        self.fields["zone"].widget.choices = [*own, *((name, name) for name in names)]
        reminder = getattr(self, "instance", None)
        if reminder is not None and reminder.pk is not None:
            self.initial.update(initial_of(reminder))

    @property
    def _is_now(self) -> bool:
        return self.data.get("when") == NOW or "_send" in self.data

    def clean_zone(self) -> str:
        zone: str = self.cleaned_data["zone"]
        return zone and _said(recurrence.check_zone, zone)

    def clean_local_at(self) -> str:
        local_at: str = self.cleaned_data["local_at"].strip().replace(" ", "T")
        if self._is_now:  # what stands there does not count
            return ""
        return local_at and recurrence.to_text(_said(recurrence.parse_local, local_at))

    def clean(self) -> None:
        super().clean()
        values = self.cleaned_data
        written = values.get("rule", "")
        values["rule"] = ""
        when, local_at, zone = values.get("when"), values.get("local_at"), values.get("zone")
        if self._is_now or when is None or local_at is None or zone is None:
            return
        if not local_at:
            self.add_error("local_at", _("Choose a date and a time."))
        elif when == RECURRING:
            self._clean_rule(local_at, zone, written)
        elif zone:
            self._check(lambda: timing.check_exists(local_at, zone), "local_at")

    def _clean_rule(self, local_at: str, zone: str, written: str) -> None:
        values = self.cleaned_data
        repeats = values.get("repeats") or "weekly"
        if repeats == "rule" and not written:
            self.add_error("rule", _("Write a rule, or choose how often it repeats."))
            return
        if {"rule", "every", "days", "month_by", "until"} & set(self.errors):
            return
        if repeats != "rule" and values["until"] is None:
            self.add_error("until", _("Say the last day: a reminder does not go on for ever."))
            return
        if repeats != "rule":
            written = repeating.rule_of(
                recurrence.parse_local(local_at),
                repeats,
                every=values["every"] or 1,
                days=values["days"],
                month_by=values["month_by"] or "day",
                until=values["until"],
            )
        where = "rule" if repeats == "rule" else "until"

        def check() -> None:
            rule = _said(recurrence.parse_rule, written)
            timing.check_rule(local_at, zone, rule.text)
            values["rule"] = rule.text

        self._check(check, where)

    def _check(self, check: Any, field: str) -> None:
        try:
            check()
        except ValidationError as error:
            self.add_error(field, error)


def initial_of(reminder: Any) -> dict[str, Any]:
    """Return what the form shows for a reminder's own time and rule."""
    if not reminder.local_at:
        return {"when": NOW}
    shown: dict[str, Any] = {"when": AT, "local_at": reminder.local_at}
    if not reminder.rule:
        return shown
    try:
        start = recurrence.parse_local(reminder.local_at)
        choices = repeating.choices_of(reminder.rule, start)
    except ValueError:  # written past the form
        choices = None
    small = choices or {"repeats": "rule", "rule": reminder.rule}
    return {**shown, "when": RECURRING, **({"rule": ""} if choices else {}), **small}


def _said(check: Any, value: str) -> Any:
    """Call a check of ``recurrence``, whose errors are sentences for people."""
    try:
        return check(value)
    except ValueError as error:
        raise ValidationError(str(error), code="invalid") from error
