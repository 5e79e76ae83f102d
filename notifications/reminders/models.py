"""
A reminder is what was written; a delivery is one person's copy of it, unread until it is read.

A delivery is also the smallest thing that a page, an event and a mark-read request speak of.
"""

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..exceptions import MessageTooLarge
from ..messages import check_message, encode_data
from .validators import validate_link

TITLE_MAX_LENGTH = 200  # characters
TEXT_MAX_LENGTH = 10_000  # characters; 40 KB at most in UTF-8, under the transport's 64 KiB
LINK_MAX_LENGTH = 500  # characters

EVENT = "reminder"


class Reminder(models.Model):
    """A title and a plain text, perhaps with a link, from one person to others."""

    class Level(models.TextChoices):
        INFO = "info", _("Info")
        SUCCESS = "success", _("Success")
        WARNING = "warning", _("Warning")
        URGENT = "urgent", _("Urgent")

    title = models.CharField(_("title"), max_length=TITLE_MAX_LENGTH)
    text = models.TextField(
        _("text"),
        max_length=TEXT_MAX_LENGTH,  # holds in forms only, of a TextField
        validators=[MaxLengthValidator(TEXT_MAX_LENGTH)],
        blank=True,
        help_text=_("Plain text; line breaks are kept."),
    )
    level = models.CharField(_("level"), max_length=20, choices=Level, default=Level.INFO)
    link = models.CharField(
        _("link"),
        max_length=LINK_MAX_LENGTH,
        blank=True,
        validators=[validate_link],
        help_text=_("A web address, or a path of this site like /jobs/."),
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("written by"),
    )
    created = models.DateTimeField(_("written"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("reminder")
        verbose_name_plural = _("reminders")
        ordering = ("-pk",)
        constraints = [
            # Validators run in forms only; this holds for code and shells too.
            models.CheckConstraint(
                name="reminders_link_is_safe",
                condition=(
                    Q(link="")
                    | Q(link__istartswith="http://")
                    | Q(link__istartswith="https://")
                    | (
                        Q(link__startswith="/")
                        & ~Q(link__startswith="//")
                        & ~Q(link__startswith="/\\")
                    )
                ),
                violation_error_message=_("The link is neither a web address nor a path."),
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def clean(self) -> None:
        """Refuse a reminder that would not fit into one message of the transport."""
        try:
            check_message(EVENT, encode_data(Delivery(reminder=self).as_event()))
        except MessageTooLarge as error:
            raise ValidationError(
                _("This reminder is too large to be sent. Shorten the text."), code="too_large"
            ) from error


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def of(self, user: Any) -> "DeliveryQuerySet":
        return self.filter(user_id=user.pk)

    def unread(self) -> "DeliveryQuerySet":
        return self.filter(read_at=None)


class Delivery(models.Model):
    """
    One person's copy of a reminder. Made by ``delivery.deliver`` only, which also tells the person.

    Both foreign keys go without an index of their own: the unique constraint and the indexes
    below begin with them.
    """

    reminder = models.ForeignKey(
        Reminder,
        on_delete=models.CASCADE,
        db_index=False,
        related_name="deliveries",
        verbose_name=_("reminder"),
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        db_index=False,
        related_name="reminder_deliveries",
        # Whom the admin offers; nobody else gets one.
        limit_choices_to={"is_active": True},
        verbose_name=_("recipient"),
    )
    created = models.DateTimeField(_("delivered"), default=timezone.now, editable=False)
    read_at = models.DateTimeField(_("read"), null=True, blank=True, editable=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ("-pk",)  # newest first
        constraints = [
            models.UniqueConstraint(fields=["reminder", "user"], name="reminders_once_per_user"),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="reminders_newest"),
            models.Index(
                fields=["user", "-id"], condition=Q(read_at=None), name="reminders_unread_newest"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reminder} → {self.user}"

    def as_event(self) -> dict[str, Any]:
        """Return the data of the ``reminder`` event; dates are left to the encoder."""
        return {
            "id": self.pk,
            "title": self.reminder.title,
            "text": self.reminder.text,
            "level": self.reminder.level,
            "link": self.reminder.link,
            "sent": self.created,
        }
