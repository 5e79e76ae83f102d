"""A reminder's report as a table, person by person, that a spreadsheet opens and doesn't run."""

import csv
from collections.abc import AsyncIterator, Iterator
from io import StringIO
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from ..models import Delivery, Reminder

ROWS_PER_QUERY: Final = 2000
# A cell that begins with one of these, also as their wide forms, is a formula to spreadsheets.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "|", "%")


def csv_response(request: HttpRequest, reminder: Reminder) -> StreamingHttpResponse:
    """Stream the table: memory holds ``ROWS_PER_QUERY`` rows, however many people have it."""
    # Under ASGI an ordinary iterator would be read to its end before the first byte.
    parts: Any = _parts(reminder)
    response = StreamingHttpResponse(
        _stepwise(parts) if hasattr(request, "scope") else parts,
        content_type="text/csv; charset=utf-8",
    )
    response["Content-Disposition"] = f'attachment; filename="reminder-{reminder.pk}.csv"'
    return response


def safe_cell(value: Any) -> str:
    """Return a cell that is text to every spreadsheet, whatever a person is called."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) or text.lstrip().startswith(FORMULA) else text


def _parts(reminder: Reminder) -> Iterator[str]:
    heads = (
        *(_("User"), _("Name"), _("Occurrence"), _("Sent"), _("Delivered"), _("Read")),
        *(_("Acknowledged"), _("Snoozed until"), _("Expires")),
    )
    # The mark by which spreadsheets know UTF-8.
    yield "\ufeff" + _lines([heads])
    deliveries = Delivery.objects.filter(reminder=reminder).select_related("user").order_by("pk")
    last = 0
    while rows := list(deliveries.filter(pk__gt=last)[:ROWS_PER_QUERY]):
        last = rows[-1].pk
        yield _lines([_row(delivery) for delivery in rows])


def _row(delivery: Delivery) -> tuple[Any, ...]:
    moments = (
        *(delivery.created, delivery.delivered_at, delivery.read_at),
        *(delivery.acknowledged_at, delivery.snoozed_until, delivery.expires),
    )
    return (
        delivery.user.get_username(),
        delivery.user.get_full_name(),
        delivery.occurrence,
        *(moment and timezone.localtime(moment).isoformat(" ", "seconds") for moment in moments),
    )


def _lines(rows: list[tuple[Any, ...]]) -> str:
    text = StringIO()
    csv.writer(text).writerows([safe_cell(value) for value in row] for row in rows)
    return text.getvalue()


async def _stepwise(parts: Iterator[str]) -> AsyncIterator[str]:
    """Go through ``parts`` in the thread that holds the connection to the database."""
    step: Any = sync_to_async(next)
    while (part := await step(parts, None)) is not None:
        yield part
