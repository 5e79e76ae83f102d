from typing import Any

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


def note_what_was_sent(apps: Any, schema_editor: Any) -> None:
    """Until now a reminder was sent by saving it: whatever has a delivery was sent."""
    reminders = apps.get_model("reminders", "Reminder").objects.using(
        schema_editor.connection.alias
    )
    reminders.filter(deliveries__isnull=False).update(state="sent", sent_at=models.F("created"))


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("reminders", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Occurrence",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("local", models.CharField(blank=True, max_length=16, verbose_name="local time")),
                ("zone", models.CharField(blank=True, max_length=64, verbose_name="time zone")),
                ("due", models.DateTimeField(verbose_name="due")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("due", "Due"),
                            ("sending", "Sending"),
                            ("sent", "Sent"),
                            ("skipped", "Skipped"),
                        ],
                        default="due",
                        max_length=20,
                        verbose_name="state",
                    ),
                ),
                ("claimed_until", models.DateTimeField(blank=True, null=True)),
                ("run", models.UUIDField(blank=True, null=True)),
                ("job", models.UUIDField(blank=True, null=True)),
                ("told", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "occurrence",
                "verbose_name_plural": "occurrences",
                "ordering": ("-due",),
            },
        ),
        migrations.CreateModel(
            name="Preference",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="reminder_preference",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
                (
                    "time_zone",
                    models.CharField(
                        blank=True, db_index=True, max_length=64, verbose_name="time zone"
                    ),
                ),
                ("quiet_from", models.TimeField(blank=True, null=True, verbose_name="quiet from")),
                ("quiet_to", models.TimeField(blank=True, null=True, verbose_name="quiet to")),
                (
                    "notify_from_level",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("info", "Info"),
                            ("success", "Success"),
                            ("warning", "Warning"),
                            ("urgent", "Urgent"),
                        ],
                        default="info",
                        max_length=20,
                        verbose_name="notify from level",
                    ),
                ),
            ],
            options={
                "verbose_name": "reminder preference",
                "verbose_name_plural": "reminder preferences",
            },
        ),
        migrations.AlterModelOptions(
            name="reminder",
            options={
                "ordering": ("-pk",),
                "permissions": [("send_to_everyone", "Can send reminders to everyone")],
                "verbose_name": "reminder",
                "verbose_name_plural": "reminders",
            },
        ),
        migrations.RemoveConstraint(
            model_name="delivery",
            name="reminders_once_per_user",
        ),
        migrations.AddField(
            model_name="delivery",
            name="acknowledged_at",
            field=models.DateTimeField(
                blank=True, editable=False, null=True, verbose_name="acknowledged"
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="delivered_at",
            field=models.DateTimeField(
                blank=True, editable=False, null=True, verbose_name="delivered"
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="expires",
            field=models.DateTimeField(
                blank=True, editable=False, null=True, verbose_name="expires"
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="expiry_told",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.AddField(
            model_name="delivery",
            name="occurrence",
            field=models.CharField(
                blank=True, default="", editable=False, max_length=16, verbose_name="occurrence"
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="snoozed_until",
            field=models.DateTimeField(
                blank=True, editable=False, null=True, verbose_name="snoozed until"
            ),
        ),
        migrations.AddField(
            model_name="reminder",
            name="acknowledge",
            field=models.BooleanField(
                default=False,
                help_text="People get a button for it, and you see who has not pressed it.",
                verbose_name="ask people to acknowledge",
            ),
        ),
        migrations.AddField(
            model_name="reminder",
            name="everyone",
            field=models.BooleanField(default=False, verbose_name="everyone"),
        ),
        migrations.AddField(
            model_name="reminder",
            name="expires",
            field=models.DateTimeField(
                blank=True,
                help_text="After this it is sent to nobody, and fades out where it was not read.",
                null=True,
                verbose_name="expires",
            ),
        ),
        migrations.AddField(
            model_name="reminder",
            name="filter_active_since",
            field=models.DateField(
                blank=True,
                help_text="People who have logged in on this day or later.",
                null=True,
                verbose_name="active since",
            ),
        ),
        migrations.AddField(
            model_name="reminder",
            name="filter_joined_before",
            field=models.DateField(
                blank=True,
                help_text="People whose account is older than this day.",
                null=True,
                verbose_name="joined before",
            ),
        ),
        migrations.AddField(
            model_name="reminder",
            name="filter_staff",
            field=models.BooleanField(default=False, verbose_name="staff"),
        ),
        migrations.AddField(
            model_name="reminder",
            name="groups",
            field=models.ManyToManyField(
                blank=True, related_name="+", to="auth.group", verbose_name="groups"
            ),
        ),
        migrations.AddField(
            model_name="reminder",
            name="idempotency_key",
            field=models.CharField(
                blank=True, editable=False, max_length=200, null=True, unique=True
            ),
        ),
        migrations.AddField(
            model_name="reminder",
            name="job",
            field=models.UUIDField(blank=True, editable=False, null=True, verbose_name="job"),
        ),
        migrations.AddField(
            model_name="reminder",
            name="local_at",
            field=models.CharField(
                blank=True,
                help_text="Local time, like 2030-01-31T09:00. Empty: at once.",
                max_length=16,
                verbose_name="at",
            ),
        ),
        migrations.AddField(
            model_name="reminder",
            name="repeat_of",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="repeated",
                to="reminders.reminder",
                verbose_name="repeat of",
            ),
        ),
        migrations.AddField(
            model_name="reminder",
            name="rule",
            field=models.CharField(
                blank=True,
                help_text="An iCalendar RRULE, like FREQ=WEEKLY;BYDAY=MO. Empty: once.",
                max_length=500,
                verbose_name="repeats",
            ),
        ),
        migrations.AddField(
            model_name="reminder",
            name="sent_at",
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name="sent"),
        ),
        migrations.AddField(
            model_name="reminder",
            name="state",
            field=models.CharField(
                choices=[
                    ("draft", "Draft"),
                    ("scheduled", "Scheduled"),
                    ("sending", "Sending"),
                    ("sent", "Sent"),
                    ("cancelled", "Cancelled"),
                    ("expired", "Expired unsent"),
                ],
                default="draft",
                editable=False,
                max_length=20,
                verbose_name="state",
            ),
        ),
        migrations.AddField(
            model_name="reminder",
            name="users",
            field=models.ManyToManyField(
                blank=True,
                limit_choices_to={"is_active": True},
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="users",
            ),
        ),
        migrations.AddField(
            model_name="reminder",
            name="version",
            field=models.PositiveIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="reminder",
            name="zone",
            field=models.CharField(
                blank=True,
                help_text="Like Europe/Berlin. Empty: each reader's own.",
                max_length=64,
                verbose_name="time zone",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="created",
            field=models.DateTimeField(
                default=django.utils.timezone.now, editable=False, verbose_name="sent"
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("snoozed_until__isnull", False)),
                fields=["snoozed_until"],
                name="reminders_snoozed",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("expires__isnull", False), ("expiry_told", False)),
                fields=["expires"],
                name="reminders_expiring",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("read_at__isnull", False)),
                fields=["read_at"],
                name="reminders_read",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(
                fields=("reminder", "occurrence", "user"), name="reminders_once_per_user"
            ),
        ),
        migrations.AddField(
            model_name="occurrence",
            name="reminder",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="occurrences",
                to="reminders.reminder",
                verbose_name="reminder",
            ),
        ),
        migrations.AddIndex(
            model_name="occurrence",
            index=models.Index(
                condition=models.Q(("state__in", ["due", "sending"])),
                fields=["due"],
                name="reminders_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="occurrence",
            constraint=models.UniqueConstraint(
                fields=("reminder", "local", "zone"), name="reminders_occurs_once"
            ),
        ),
        migrations.RemoveConstraint(model_name="reminder", name="reminders_link_is_safe"),
        migrations.AddConstraint(
            model_name="reminder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("link", ""),
                    ("link__istartswith", "http://"),
                    ("link__istartswith", "https://"),
                    models.Q(
                        ("link__startswith", "/"),
                        models.Q(("link__contains", "\t"), _negated=True),
                        models.Q(("link__contains", "\n"), _negated=True),
                        models.Q(("link__contains", "\r"), _negated=True),
                        models.Q(("link__startswith", "//"), _negated=True),
                        models.Q(("link__startswith", "/\\"), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="reminders_link_is_safe",
                violation_error_message="The link is neither a web address nor a path.",
            ),
        ),
        migrations.RunPython(note_what_was_sent, migrations.RunPython.noop),
    ]
