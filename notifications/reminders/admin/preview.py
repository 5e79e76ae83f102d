"""What the admin's form says before anything is sent: how many people, who, and when."""

from typing import Any, Final

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..audience import Users, audience, names_of
from ..models import Reminder
from . import timing
from .forms import AUDIENCE_FIELDS, WHEN_FIELDS, ReminderForm

NAMES: Final = 10
TIMES: Final = 3


def of_form(form: ReminderForm, may_see_names: bool) -> dict[str, Any]:
    """Return the preview of a form with data, as far as its fields are valid."""
    form.is_valid()
    values = form.cleaned_data
    wrong = [name for name in WHEN_FIELDS if name in form.errors]
    when = ""
    if not wrong:
        when = _when(values.get("local_at", ""), values.get("zone", ""), values.get("rule", ""))
        if values.get("is_past"):
            when += " " + _("This has passed: it is sent at once.")
    errors = {
        name: [str(text) for text in form.errors[name]]
        for name in (*AUDIENCE_FIELDS, *WHEN_FIELDS)
        if name in form.errors
    }
    return {**_people(form.audience(), may_see_names), "when": when, "errors": errors}


def of_reminder(reminder: Reminder | None, may_see_names: bool) -> dict[str, Any]:
    """Return the preview of a reminder as it is saved; None: of one that is still to be written."""
    reminder = reminder or Reminder()
    people = audience(reminder) if reminder.pk else None
    when = _when(reminder.local_at, reminder.zone, reminder.rule)
    return {**_people(people, may_see_names), "when": when, "errors": {}}


def _people(users: Users | None, may_see_names: bool) -> dict[str, Any]:
    count = users.count() if users is not None else 0
    names = names_of(users, NAMES) if users is not None and may_see_names and count else []
    text = ngettext("%(count)s person", "%(count)s people", count) % {"count": number_format(count)}
    rest = count - len(names) if names else 0
    return {
        "count": count,
        "people": text if count else _("nobody yet"),
        "names": names,
        "rest": _("and %(count)s more") % {"count": number_format(rest)} if rest else "",
    }


def _when(local_at: str, zone: str, rule: str) -> str:
    text = timing.in_words(local_at, zone, rule)
    said = [text[:1].upper() + text[1:] + "."]
    try:
        if local_at and rule:
            times = timing.next_times(local_at, zone, rule, TIMES)
            said += [_("Next: %(times)s.") % {"times": "; ".join(times)}] if times else []
        if local_at and zone:
            said += timing.clock_notes(local_at, zone, rule)
    except ValueError:  # written past the form
        pass
    return " ".join(said)
