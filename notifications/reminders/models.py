"""
A reminder is what was written, to whom, and when; an occurrence is one time at which it is sent.
A delivery is one person's copy of one occurrence, unread until it is read.

A delivery is also the smallest thing that a page, an event and a mark-read request speak of.
"""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
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
KEY_MAX_LENGTH = 200  # characters
RULE_MAX_LENGTH = 500  # characters
ZONE_MAX_LENGTH = 64  # characters; the longest name in the IANA database has 32
LOCAL_LENGTH = 16  # characters: 2030-01-31T09:00

EVENT = "reminder"
CHANNEL_PREFIX = "reminder-"  # of a reminder's own channel, on which its report is told


class Level(models.TextChoices):
    """How much a reminder matters, the least first."""

    INFO = "info", _("Info")
    SUCCESS = "success", _("Success")
    WARNING = "warning", _("Warning")
    URGENT = "urgent", _("Urgent")


class Reminder(models.Model):
    """
    A title and a plain text, perhaps with a link, from one person to others.

    The audience is everyone; or the users, the members of the groups, and those who match all of
    the filters that are given, together. Only active users are ever addressed.
    """

    Level = Level

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        SCHEDULED = "scheduled", _("Scheduled")  # a recurring one stays so until its rule ends
        SENDING = "sending", _("Sending")
        SENT = "sent", _("Sent")
        CANCELLED = "cancelled", _("Cancelled")
        EXPIRED = "expired", _("Expired unsent")  # before anybody was sent it

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
    expires = models.DateTimeField(
        _("expires"),
        null=True,
        blank=True,
        help_text=_("After this it is sent to nobody, and fades out where it was not read."),
    )
    acknowledge = models.BooleanField(
        _("ask people to acknowledge"),
        default=False,
        help_text=_("People get a button for it, and you see who has not pressed it."),
    )

    everyone = models.BooleanField(_("everyone"), default=False)
    users = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="+",
        limit_choices_to={"is_active": True},
        verbose_name=_("users"),
    )
    groups = models.ManyToManyField(Group, blank=True, related_name="+", verbose_name=_("groups"))
    filter_active_since = models.DateField(
        _("active since"),
        null=True,
        blank=True,
        help_text=_("People who have logged in on this day or later."),
    )
    filter_joined_before = models.DateField(
        _("joined before"),
        null=True,
        blank=True,
        help_text=_("People whose account is older than this day."),
    )
    filter_staff = models.BooleanField(_("staff"), default=False)

    local_at = models.CharField(
        _("at"),
        max_length=LOCAL_LENGTH,
        blank=True,
        help_text=_("Local time, like 2030-01-31T09:00. Empty: at once."),
    )
    zone = models.CharField(
        _("time zone"),
        max_length=ZONE_MAX_LENGTH,
        blank=True,
        help_text=_("Like Europe/Berlin. Empty: each reader's own."),
    )
    rule = models.CharField(
        _("repeats"),
        max_length=RULE_MAX_LENGTH,
        blank=True,
        help_text=_("An iCalendar RRULE, like FREQ=WEEKLY;BYDAY=MO. Empty: once."),
    )

    state = models.CharField(
        _("state"), max_length=20, choices=State, default=State.DRAFT, editable=False
    )
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True, editable=False)
    job = models.UUIDField(_("job"), null=True, blank=True, editable=False)  # the newest sending
    # What remind() was given, so that a second call with it finds the first one's reminder.
    idempotency_key = models.CharField(
        max_length=KEY_MAX_LENGTH, null=True, blank=True, unique=True, editable=False
    )
    # Of one that reminds once more those who have not acknowledged another: the first one of all.
    repeat_of = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="repeated",
        verbose_name=_("repeat of"),
    )
    # Of two people who edit it, the later one is told: saving counts on from what was read.
    version = models.PositiveIntegerField(default=0, editable=False)
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
        permissions = [("send_to_everyone", _("Can send reminders to everyone"))]
        constraints = [
            # Validators run in forms only; this holds for code and shells too.
            models.CheckConstraint(
                name="reminders_link_is_safe",
                condition=(
                    Q(link="")
                    | Q(link__istartswith="http://")
                    | Q(link__istartswith="https://")
                    # Browsers leave out tabs and line breaks, wherever they are.
                    | (
                        Q(link__startswith="/")
                        & ~Q(link__contains="\t")
                        & ~Q(link__contains="\n")
                        & ~Q(link__contains="\r")
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
        """Refuse what a database or a message of the transport can't hold."""
        for name in ("title", "text", "idempotency_key"):
            text = getattr(self, name) or ""
            # PostgreSQL keeps no NUL; half a surrogate pair is no UTF-8.
            if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
                raise ValidationError(
                    {name: _("There is a character in this that is no text.")}, code="no_text"
                )
        try:
            check_message(EVENT, encode_data(Delivery(reminder=self).as_event()))
        except MessageTooLarge as error:
            raise ValidationError(
                _("This reminder is too large to be sent. Shorten the text."), code="too_large"
            ) from error


class Occurrence(models.Model):
    """
    One time at which a reminder is sent to those of one time zone; "at once" is such a time too.

    Whoever sends it claims it: ``claimed_until`` lets others wait, and take it up when that has
    passed. Each run sets a ``run`` of its own, so that one that was thought dead and goes on after
    all finds that it has lost the occurrence, and stops.
    """

    class State(models.TextChoices):
        DUE = "due", _("Due")  # or will be
        SENDING = "sending", _("Sending")
        SENT = "sent", _("Sent")
        SKIPPED = "skipped", _("Skipped")

    reminder = models.ForeignKey(
        Reminder,
        on_delete=models.CASCADE,
        db_index=False,
        related_name="occurrences",
        verbose_name=_("reminder"),
    )
    # The local time that it stands for, like 2030-01-31T09:00; empty for one sent at once.
    local = models.CharField(_("local time"), max_length=LOCAL_LENGTH, blank=True)
    zone = models.CharField(_("time zone"), max_length=ZONE_MAX_LENGTH, blank=True)
    due = models.DateTimeField(_("due"))
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.DUE)
    claimed_until = models.DateTimeField(null=True, blank=True)
    run = models.UUIDField(null=True, blank=True)
    job = models.UUIDField(null=True, blank=True)
    # The last delivery whose message is known to have been published: a run that takes up another
    # one's work repeats the messages of the deliveries after it.
    told = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = _("occurrence")
        verbose_name_plural = _("occurrences")
        ordering = ("-due",)
        constraints = [
            models.UniqueConstraint(
                fields=["reminder", "local", "zone"], name="reminders_occurs_once"
            ),
        ]
        indexes = [
            models.Index(
                fields=["due"],
                condition=Q(state__in=["due", "sending"]),
                name="reminders_due",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reminder}, {self.local or _('at once')} {self.zone}".rstrip()


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def of(self, user: Any) -> "DeliveryQuerySet":
        return self.filter(user_id=user.pk)

    def unread(self) -> "DeliveryQuerySet":
        return self.filter(read_at=None)

    def visible(self, now: datetime) -> "DeliveryQuerySet":
        """Those that are neither snoozed at ``now`` nor expired."""
        awake = Q(snoozed_until=None) | Q(snoozed_until__lte=now)
        return self.filter(awake).unexpired(now)

    def snoozed(self, now: datetime) -> "DeliveryQuerySet":
        return self.filter(snoozed_until__gt=now).unexpired(now)

    def unexpired(self, now: datetime) -> "DeliveryQuerySet":
        return self.filter(Q(expires=None) | Q(expires__gt=now))


class Delivery(models.Model):
    """
    One person's copy of an occurrence. Made in ``delivery`` only, which also tells the person.

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
    # The local time that the occurrence stands for, whatever its zone: somebody who moves from one
    # zone to another has it once.
    occurrence = models.CharField(
        _("occurrence"), max_length=LOCAL_LENGTH, blank=True, default="", editable=False
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
    created = models.DateTimeField(_("sent"), default=timezone.now, editable=False)
    expires = models.DateTimeField(_("expires"), null=True, blank=True, editable=False)
    delivered_at = models.DateTimeField(_("delivered"), null=True, blank=True, editable=False)
    read_at = models.DateTimeField(_("read"), null=True, blank=True, editable=False)
    acknowledged_at = models.DateTimeField(_("acknowledged"), null=True, blank=True, editable=False)
    snoozed_until = models.DateTimeField(_("snoozed until"), null=True, blank=True, editable=False)
    # Its pages have been told that it expired.
    expiry_told = models.BooleanField(default=False, editable=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ("-pk",)  # newest first
        constraints = [
            models.UniqueConstraint(
                fields=["reminder", "occurrence", "user"], name="reminders_once_per_user"
            ),
        ]
        # Those with a condition are empty for what has just been sent, and cost it nothing.
        indexes = [
            models.Index(fields=["user", "-id"], name="reminders_newest"),
            models.Index(
                fields=["user", "-id"], condition=Q(read_at=None), name="reminders_unread_newest"
            ),
            models.Index(
                fields=["snoozed_until"],
                condition=Q(snoozed_until__isnull=False),
                name="reminders_snoozed",
            ),
            models.Index(
                fields=["expires"],
                condition=Q(expires__isnull=False, expiry_told=False),
                name="reminders_expiring",
            ),
            models.Index(
                fields=["read_at"], condition=Q(read_at__isnull=False), name="reminders_read"
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
            "expires": self.expires,
            "acknowledge": self.reminder.acknowledge,
        }


class Preference(models.Model):
    """How one person wants to be reminded; somebody without one has the defaults."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="reminder_preference",
        verbose_name=_("user"),
    )
    # An IANA name; empty while it isn't known, and settings.TIME_ZONE counts.
    time_zone = models.CharField(
        _("time zone"), max_length=ZONE_MAX_LENGTH, blank=True, db_index=True
    )
    # No browser notifications between these, by the clock of the device that would notify; from may
    # be after to.
    quiet_from = models.TimeField(_("quiet from"), null=True, blank=True)
    quiet_to = models.TimeField(_("quiet to"), null=True, blank=True)
    # The least level of which the browser notifies; empty: of none.
    notify_from_level = models.CharField(
        _("notify from level"), max_length=20, choices=Level, default=Level.INFO, blank=True
    )

    class Meta:
        verbose_name = _("reminder preference")
        verbose_name_plural = _("reminder preferences")

    def __str__(self) -> str:
        return str(self.user)
