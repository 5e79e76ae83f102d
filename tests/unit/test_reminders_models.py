"""What a reminder may hold, in a form and in the database."""

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from notifications.messages import check_message, encode_data
from notifications.reminders.models import TEXT_MAX_LENGTH, TITLE_MAX_LENGTH, Delivery, Reminder

GOOD_LINKS = [
    "",
    "/",
    "/jobs/?page=2#newest",
    "/zu/größe",
    "http://intranet/wiki",
    "http://[::1]:8000/",
    "HTTPS://example.org/a,b;c",
]

BAD_LINKS = [
    "/\t/example.org/",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "java\tscript:alert(1)",
    " javascript:alert(1)",
    "data:text/html,hello",
    "mailto:admin@example.org",
    "ftp://example.org/",
    "//example.org/",
    "/\\example.org/",
    "/\t/example.org/",
    "/\n/example.org/",
    "\\\\example.org",
    "jobs/",
    "example.org",
    "#top",
    "http:",
    "http:///path",
    "https:example.org",
    "http://[::1/",
    "http://example.org:99999/",
    "http://example.org:port/",
    "/a b",
]

# Those that a person could be lured with; the rest of the bad ones just lead nowhere.
LINKS_THAT_LEAD_ASTRAY = [
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    " javascript:alert(1)",
    "data:text/html,hello",
    "//example.org/",
    "/\\example.org/",
]


@pytest.mark.parametrize("link", GOOD_LINKS)
@pytest.mark.django_db
def test_a_link_is_a_web_address_or_a_path_of_the_site(link):
    reminder = Reminder(title="Backup", link=link)
    reminder.full_clean()
    reminder.save()


@pytest.mark.parametrize("link", BAD_LINKS)
def test_any_other_link_is_refused_by_name(link):
    with pytest.raises(ValidationError) as caught:
        Reminder(title="Backup", link=link).clean_fields()
    assert list(caught.value.message_dict) == ["link"]


@pytest.mark.parametrize("link", LINKS_THAT_LEAD_ASTRAY)
@pytest.mark.django_db
def test_the_database_refuses_a_dangerous_link_from_code_too(link):
    with pytest.raises(IntegrityError), transaction.atomic():
        Reminder.objects.create(title="Backup", link=link)
    assert not Reminder.objects.exists()


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("title", {"title": ""}),
        ("title", {"title": "x" * (TITLE_MAX_LENGTH + 1)}),
        ("text", {"text": "x" * (TEXT_MAX_LENGTH + 1)}),
        ("level", {"level": "shout"}),
        ("link", {"link": "/" + "x" * 500}),
    ],
)
def test_what_does_not_fit_is_refused_at_its_field(field, values):
    with pytest.raises(ValidationError) as caught:
        Reminder(**{"title": "Backup", **values}).clean_fields()
    assert list(caught.value.message_dict) == [field]


def test_a_title_alone_is_enough():
    reminder = Reminder(title="Backup")
    reminder.clean_fields()
    assert reminder.level == "info"


def test_the_longest_reminder_fits_into_a_message():
    bell = "\N{BELL}"  # four bytes in UTF-8
    reminder = Reminder(
        title=bell * TITLE_MAX_LENGTH, text=bell * TEXT_MAX_LENGTH, link="/" + "ö" * 499
    )
    check_message("reminder", encode_data(Delivery(pk=2**63 - 1, reminder=reminder).as_event()))
    reminder.clean()


def test_a_reminder_too_large_for_the_transport_is_a_validation_error(settings):
    settings.NOTIFICATIONS_MESSAGE_MAX_BYTES = 1024
    with pytest.raises(ValidationError, match="Shorten the text"):
        Reminder(title="Backup", text="x" * 1100).clean()


@pytest.mark.django_db
def test_nobody_has_a_reminder_twice():
    user, reminder = User.objects.create(username="demo"), Reminder.objects.create(title="Backup")
    Delivery.objects.create(reminder=reminder, user=user)
    with pytest.raises(IntegrityError), transaction.atomic():
        Delivery.objects.create(reminder=reminder, user=user)


@pytest.mark.django_db
def test_a_reminder_outlives_its_author():
    author = User.objects.create(username="demo")
    reminder = Reminder.objects.create(title="Backup", created_by=author)
    author.delete()
    reminder.refresh_from_db()
    assert reminder.created_by is None
