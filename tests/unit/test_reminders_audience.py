"""Whom a reminder goes to: what is chosen, together, and never somebody who is not active."""

from datetime import UTC, date, datetime

import pytest
from django.contrib.auth.models import Group, User

from notifications.reminders import audience
from notifications.reminders.models import Preference, Reminder

pytestmark = pytest.mark.django_db


def person(name, **values):
    return User.objects.create(username=name, **values)


def names(users):
    return sorted(users.values_list("username", flat=True))


def moment(day, hour=12):
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def test_a_reminder_without_an_audience_goes_to_nobody():
    person("one")
    reminder = Reminder.objects.create(title="Backup")
    assert audience.count(reminder) == 0
    assert not audience.audience(reminder).exists()


def test_everyone_is_everyone_who_is_active():
    person("one")
    person("gone", is_active=False)
    reminder = Reminder.objects.create(title="Backup", everyone=True)
    assert names(audience.audience(reminder)) == ["one"]


def test_users_groups_and_filters_go_together_and_nobody_counts_twice():
    by_name, member, _, other = (
        person("by-name", is_staff=True),
        person("member"),
        person("staff", is_staff=True),
        person("other"),
    )
    for group in (Group.objects.create(name="a"), Group.objects.create(name="b")):
        group.user_set.add(member, by_name)
    reminder = Reminder.objects.create(title="Backup", filter_staff=True)
    reminder.users.add(by_name)
    reminder.groups.set(Group.objects.all())
    assert names(audience.audience(reminder)) == ["by-name", "member", "staff"]
    assert audience.count(reminder) == 3
    assert other not in audience.audience(reminder)


def test_the_inactive_are_left_out_of_every_way():
    gone = person("gone", is_active=False, is_staff=True)
    group = Group.objects.create(name="a")
    group.user_set.add(gone)
    assert not audience.chosen(users=[gone], groups=[group], staff=True).exists()


def test_of_filters_all_must_match():
    person("both", is_staff=True, last_login=moment(5), date_joined=moment(1))
    person("not-staff", last_login=moment(5), date_joined=moment(1))
    person("never-there", is_staff=True, date_joined=moment(1))
    person("new", is_staff=True, last_login=moment(5), date_joined=moment(4))
    chosen = audience.chosen(
        active_since=date(2026, 3, 5), joined_before=date(2026, 3, 2), staff=True
    )
    assert names(chosen) == ["both"]


def test_a_day_begins_at_the_sites_midnight(settings):
    settings.TIME_ZONE = "Asia/Tokyo"  # nine hours ahead
    person("yesterday", last_login=moment(4, 14), date_joined=moment(4, 14))
    person("today", last_login=moment(4, 15), date_joined=moment(4, 15))
    assert names(audience.chosen(active_since=date(2026, 3, 5))) == ["today"]
    assert names(audience.chosen(joined_before=date(2026, 3, 5))) == ["yesterday"]


def test_a_choice_may_be_keys_objects_or_querysets():
    one, two = person("one"), person("two")
    for users in ([one.pk], [one], User.objects.filter(pk=one.pk).order_by("username")):
        assert names(audience.chosen(users=users)) == ["one"]
    assert two not in audience.chosen(users=User.objects.none())


def test_the_names_are_the_first_by_the_alphabet():
    for name in ("cleo", "anna", "bert"):
        person(name)
    person("a-gone", is_active=False)
    full = person("zoe", first_name="Zoe", last_name="Young")
    reminder = Reminder.objects.create(title="Backup", everyone=True)
    assert audience.names(reminder, 2) == ["anna", "bert"]
    assert audience.names(reminder)[-1] == full.get_full_name()


def test_each_reader_is_due_by_the_clock_of_their_own(settings):
    settings.TIME_ZONE = "UTC"
    for name, zone in (
        ("tokyo", "Asia/Tokyo"),
        ("berlin", "Europe/Berlin"),
        ("new-york", "America/New_York"),
        ("no-zone", ""),
        ("lost-zone", "Mars/Olympus"),
    ):
        Preference.objects.create(user=person(name), time_zone=zone)
    person("no-preference")
    everyone = User.objects.all()
    assert names(audience.due_in(everyone, "2026-03-05T09:00", moment(5, 0))) == ["tokyo"]
    assert names(audience.due_in(everyone, "2026-03-05T09:00", moment(5, 8))) == ["berlin", "tokyo"]
    at_nine = names(audience.due_in(everyone, "2026-03-05T09:00", moment(5, 9)))
    assert at_nine == ["berlin", "lost-zone", "no-preference", "no-zone", "tokyo"]
    assert len(audience.due_in(everyone, "2026-03-05T09:00", moment(5, 14))) == 6


def test_a_site_ahead_of_its_readers_has_them_later(settings):
    settings.TIME_ZONE = "Asia/Tokyo"
    Preference.objects.create(user=person("berlin"), time_zone="Europe/Berlin")
    person("here")
    due = audience.due_in(User.objects.all(), "2026-03-05T09:00", moment(5, 1))
    assert names(due) == ["here"]
