"""
The small form of a rule: every so many days, weeks or months, from and back to an RRULE.

What it can't say is written as a rule, and ``choices_of`` returns None for it.
"""

from datetime import date, datetime
from typing import Any, Final

from ..recurrence import DAYS, parse_rule

FREQUENCIES: Final = {"daily": "DAILY", "weekly": "WEEKLY", "monthly": "MONTHLY"}
LAST_WEEK: Final = 5  # of a month: the fifth Monday is not in every one, the last is


def rule_of(
    start: datetime,
    repeats: str,
    *,
    every: int = 1,
    days: list[str] | None = None,
    month_by: str = "day",
    until: date | None = None,
) -> str:
    """Return the rule that begins at ``start`` and has these choices; its days are ``start``'s."""
    parts = [f"FREQ={FREQUENCIES[repeats]}"]
    if every > 1:
        parts.append(f"INTERVAL={every}")
    if repeats == "weekly":
        chosen = [day for day in DAYS if day in (days or ())]
        parts.append(f"BYDAY={','.join(chosen or [DAYS[start.weekday()]])}")
    if repeats == "monthly":
        parts.append(_in_month(start, month_by))
    if until is not None:
        parts.append(f"UNTIL={until:%Y%m%d}")
    return ";".join(parts)


def choices_of(text: str, start: datetime) -> dict[str, Any] | None:
    """Return the choices that give this rule; None where the small form has none for it."""
    rule = parse_rule(text)
    repeats = {name: key for key, name in FREQUENCIES.items()}.get(rule.frequency)
    if repeats is None:
        return None
    choices: dict[str, Any] = {
        "repeats": repeats,
        "every": rule.interval,
        "days": [day for day, _nth in rule.day] if repeats == "weekly" else [],
        "until": rule.until.date() if rule.until else None,
    }
    for month_by in ("day", "weekday", "last"):
        made = rule_of(start, **{**choices, "month_by": month_by})
        if set(made.split(";")) == set(rule.text.split(";")):
            return {**choices, "month_by": month_by}
    return None


def _in_month(start: datetime, month_by: str) -> str:
    if month_by == "last":
        return "BYMONTHDAY=-1"
    if month_by == "weekday":
        nth = (start.day - 1) // 7 + 1
        return f"BYDAY={-1 if nth == LAST_WEEK else nth}{DAYS[start.weekday()]}"
    return f"BYMONTHDAY={start.day}"
