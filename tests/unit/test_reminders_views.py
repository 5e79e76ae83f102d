"""The list of one's own reminders, marking them read, and what every page says about them."""

import json
from datetime import UTC, datetime, time, timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.template import engines
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from notifications import storage
from notifications.channels import user_channel
from notifications.reminders.context_processors import (
    UNREAD_IDS_MAX,
    URGENT_MAX,
    unread,
)
from notifications.reminders.models import Delivery, Preference, Reminder
from notifications.reminders.preferences import PreferenceForm, preference_of
from notifications.reminders.views import state_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("live_redis")]

LIST = "/reminders/"
READ = "/reminders/read/"
UNREAD = "/reminders/unread/"
SNOOZE = "/reminders/snooze/"
ACKNOWLEDGE = "/reminders/acknowledge/"
DELIVERED = "/reminders/delivered/"
SETTINGS = "/reminders/settings/"
SHOWS = ("", "unread", "snoozed")

HOUR = timedelta(hours=1)


@pytest.fixture
def user():
    return User.objects.create(username="demo")


@pytest.fixture
def friend():
    return User.objects.create(username="friend")


@pytest.fixture
def visitor(user):
    client = Client()
    client.force_login(user)
    return client


def give(user, count=1, *, acknowledge=False, text="", **values):
    """Give ``user`` some reminders; return the deliveries, oldest first."""
    return [
        Delivery.objects.create(
            user=user,
            reminder=Reminder.objects.create(title=f"Note {n}", text=text, acknowledge=acknowledge),
            **values,
        )
        for n in range(count)
    ]


def unread_pks():
    return set(Delivery.objects.unread().values_list("pk", flat=True))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", LIST),
        ("get", SETTINGS),
        ("get", "/reminders/1/open/"),
        ("post", READ),
        ("post", UNREAD),
        ("post", SNOOZE),
        ("post", ACKNOWLEDGE),
        ("post", DELIVERED),
    ],
)
def test_a_visitor_is_sent_to_the_login(method, path):
    response = getattr(Client(), method)(path)
    assert response.status_code == 302
    back = path if method == "get" else LIST  # what it sent is gone
    assert response.url == f"{reverse('login')}?next={back}"


def test_the_list_has_the_newest_first_and_nobody_elses(visitor, user, friend):
    mine = give(user, 3)
    give(friend)
    page = visitor.get(LIST).context["page"]
    assert list(page) == mine[::-1]


def test_unread_leaves_out_what_was_read(visitor, user):
    give(user, read_at=timezone.now())
    new = give(user, 2)
    response = visitor.get(LIST, {"show": "unread"})
    assert list(response.context["page"]) == new[::-1]
    assert response.context["show"] == "unread"
    assert visitor.get(LIST).context["show"] == ""


def test_pages_hold_25_and_a_page_that_is_not_there_is_the_last(visitor, user):
    oldest = give(user, 26)[0]
    assert len(visitor.get(LIST).context["page"]) == 25
    for number in ("2", "999"):
        assert list(visitor.get(LIST, {"page": number}).context["page"]) == [oldest]
    assert visitor.get(LIST, {"page": "garbage"}).context["page"].number == 1


def test_the_list_shows_its_texts_escaped(visitor, user):
    reminder = Reminder.objects.create(title="<b>bold</b>", text="a & b")
    Delivery.objects.create(user=user, reminder=reminder)
    html = visitor.get(LIST).content.decode()
    assert "&lt;b&gt;bold" in html
    assert "<b>bold" not in html


def test_the_list_costs_the_same_queries_however_long(visitor, user, django_assert_max_num_queries):
    give(user, 25)
    visitor.get(LIST)  # which also notes that they were delivered
    # The login (two), the count, the page with its reminders, the unread ids of the header, and
    # what the user prefers.
    with django_assert_max_num_queries(6):
        visitor.get(LIST)


def test_the_list_is_a_live_page(visitor):
    assert visitor.get(LIST).wsgi_request.live.available


def test_the_list_renders_without_redis(visitor, user, live_redis):
    live_redis.kill()
    give(user)
    response = visitor.get(LIST)
    assert response.status_code == 200
    assert not response.wsgi_request.live.available


def test_one_id_marks_one_and_leads_back_to_the_list(visitor, user):
    first, second = give(user, 2)
    response = visitor.post(READ, {"id": first.pk})
    assert (response.status_code, response.url) == (302, LIST)
    assert unread_pks() == {second.pk}


def test_several_ids_mark_several(visitor, user):
    first, second, third = give(user, 3)
    visitor.post(READ, {"id": [first.pk, third.pk]})
    assert unread_pks() == {second.pk}


def test_all_marks_all_of_ones_own(visitor, user, friend):
    give(user, 3)
    [others] = give(friend)
    visitor.post(READ, {"all": "1"})
    assert unread_pks() == {others.pk}


def test_ids_of_others_and_of_nothing_are_ignored(visitor, user, friend):
    [mine], [others] = give(user), give(friend)
    response = visitor.post(READ, {"id": [mine.pk, others.pk, 2**63 - 1]})
    assert response.status_code == 302
    assert unread_pks() == {others.pk}


@pytest.mark.parametrize(
    "garbage", ["", "x", "-1", "0", "1.0", " 1", "1\n", "1_0", "١", "9" * 19, "9" * 5000, "1;2"]
)
def test_garbage_is_answered_plainly_and_changes_nothing(visitor, user, garbage):
    [mine] = give(user)
    response = visitor.post(READ, {"id": [str(mine.pk), garbage]})
    assert response.status_code == 400
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response.content == b"A reminder's id is a positive whole number.\n"
    assert unread_pks() == {mine.pk}


@pytest.mark.parametrize("data", [{}, {"all": "0"}, {"ids": "1"}])
def test_naming_nothing_is_a_bad_request(visitor, user, data):
    give(user)
    response = visitor.post(READ, data)
    assert response.status_code == 400
    assert response.content.startswith(b"Say which reminders")
    assert len(unread_pks()) == 1


def test_the_filter_is_kept(visitor, user):
    [mine] = give(user)
    for data, query in [
        ({"show": "unread"}, "?show=unread"),
        ({"show": "snoozed", "page": "2"}, "?show=snoozed&page=2"),
        ({"show": "nonsense", "page": "//x&y=z"}, "?page=%2F%2Fx%26y%3Dz"),
    ]:
        assert visitor.post(READ, {"id": mine.pk, **data}).url == LIST + query
    assert visitor.post(READ, {"all": "1", "show": "//example.org"}).url == LIST


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 204),
        ("application/json, text/plain, */*", 204),
        ("text/html,application/xhtml+xml,*/*;q=0.8", 302),
        ("*/*", 302),
    ],
)
def test_a_script_gets_no_content_and_a_browser_a_page(visitor, user, accept, status):
    give(user)
    response = visitor.post(READ, {"all": "1"}, headers={"accept": accept})
    assert response.status_code == status
    assert unread_pks() == set()


def test_reading_marks_nothing(visitor, user):
    give(user)
    assert visitor.get(READ, {"all": "1"}).status_code == 405
    visitor.get(LIST)
    assert len(unread_pks()) == 1


def test_a_form_of_another_site_marks_nothing(user):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    give(user)
    assert strict.post(READ, {"all": "1"}).status_code == 403
    assert len(unread_pks()) == 1

    strict.get(LIST)
    token = strict.cookies["csrftoken"].value
    assert strict.post(READ, {"all": "1"}, headers={"x-csrftoken": token}).status_code == 302
    assert unread_pks() == set()


def test_a_page_that_shows_reminders_has_delivered_them(visitor, user):
    first, *_, last = give(user, 26)
    visitor.get(LIST)
    last.refresh_from_db()
    first.refresh_from_db()
    assert last.delivered_at is not None
    assert first.delivered_at is None  # on the second page


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({}, "unread"),
        ({"read_at": -1}, "read"),
        ({"read_at": -1, "acknowledged_at": -1}, "acknowledged"),
        ({"acknowledged_at": -1}, "unread"),
        ({"snoozed_until": 1}, "snoozed"),
        ({"snoozed_until": -1}, "unread"),
        ({"expires": 1}, "unread"),
        ({"expires": 0}, "expired"),
        ({"expires": -1, "snoozed_until": 1, "read_at": -1}, "expired"),
    ],
)
def test_a_page_says_one_thing_of_each(values, state):
    now = timezone.now()
    assert state_of(Delivery(**{name: now + n * HOUR for name, n in values.items()}), now) == state


def test_each_view_of_the_list_has_what_belongs_there(visitor, user):
    now = timezone.now()
    [new], [old] = give(user), give(user, read_at=now)
    [snoozed], [expired] = give(user, snoozed_until=now + HOUR), give(user, expires=now - HOUR)
    shown = {show: list(visitor.get(LIST, {"show": show}).context["page"]) for show in SHOWS}
    assert shown == {"": [expired, snoozed, old, new], "unread": [new], "snoozed": [snoozed]}


def test_what_is_snoozed_or_expired_does_not_count_as_unread(user):
    now = timezone.now()
    give(user, snoozed_until=now + HOUR)
    give(user, expires=now - HOUR)
    [mine] = give(user, expires=now + HOUR)
    assert rendered("{{ unread_count }}: {{ unread_ids|join:',' }}", user) == f"1: {mine.pk}"


def test_addresses_in_a_text_are_links_and_nothing_else_is(visitor, user):
    give(
        user, text='See https://example.org/a?b=1&c=2. Not javascript:alert(1) or <a href="x">y</a>'
    )
    html = visitor.get(LIST).content.decode()
    assert '<a href="https://example.org/a?b=1&amp;c=2"' in html
    assert 'href="javascript' not in html
    assert "&lt;a href=&quot;x&quot;&gt;y" in html


def test_what_was_read_can_be_unread_again(visitor, user, friend):
    [mine], [others] = give(user, read_at=timezone.now()), give(friend, read_at=timezone.now())
    assert visitor.post(UNREAD, {"id": [mine.pk, others.pk]}).status_code == 302
    assert unread_pks() == {mine.pk}


@pytest.mark.parametrize("until", ["hour", "evening", "tomorrow", "week"])
def test_a_word_snoozes(visitor, user, until):
    [mine] = give(user)
    assert visitor.post(SNOOZE, {"id": mine.pk, "until": until}).status_code == 302
    mine.refresh_from_db()
    assert mine.snoozed_until > timezone.now()
    assert state_of(mine, timezone.now()) == "snoozed"


def test_a_time_is_one_of_the_device_or_else_of_the_user(visitor, user, settings):
    settings.TIME_ZONE = "Asia/Tokyo"
    noon = datetime.combine(timezone.now() + timedelta(days=3), time(12))
    [mine] = give(user)
    data = {"id": mine.pk, "until": "time", "at": f"{noon:%Y-%m-%dT%H:%M}"}

    def hours_from_noon_in_utc():
        visitor.post(SNOOZE, data)
        mine.refresh_from_db()
        return (mine.snoozed_until - noon.replace(tzinfo=UTC)) / HOUR

    assert hours_from_noon_in_utc() == -9
    Preference.objects.create(user=user, time_zone="Asia/Kolkata")
    assert hours_from_noon_in_utc() == -5.5
    visitor.cookies["zone"] = "Africa/Lagos"
    assert hours_from_noon_in_utc() == -1
    visitor.cookies["zone"] = "Not/AZone"
    assert hours_from_noon_in_utc() == -5.5


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"until": "never"},
        {"until": "time"},
        {"until": "time", "at": "soon"},
        {"until": "time", "at": "2001-01-01T10:00"},
        {"until": "time", "at": "9999-12-31T23:59"},
        {"until": "time", "at": "2026-02-30T10:00"},
    ],
)
def test_a_snooze_that_cannot_be_says_so_on_the_next_page(visitor, user, data):
    [mine] = give(user)
    assert visitor.post(SNOOZE, {"id": mine.pk, **data}).url == LIST
    [message] = visitor.get(LIST).context["messages"]
    assert message.level_tag == "error"
    mine.refresh_from_db()
    assert mine.snoozed_until is None

    response = visitor.post(SNOOZE, {"id": mine.pk, **data}, headers={"accept": "application/json"})
    assert response.status_code == 400
    assert response.content.decode().strip() == str(message)
    assert len(visitor.get(LIST).context["messages"]) == 1


def test_what_asks_for_it_is_acknowledged(visitor, user):
    [mine] = give(user, acknowledge=True)
    assert visitor.post(ACKNOWLEDGE, {"id": mine.pk}).status_code == 302
    mine.refresh_from_db()
    assert state_of(mine, timezone.now()) == "acknowledged"


def test_nothing_else_can_be_acknowledged(visitor, user, friend):
    [mine] = give(user, acknowledge=True)
    [others], [plain] = give(friend, acknowledge=True), give(user)
    for pk in (others.pk, plain.pk, 2**63 - 1):
        assert visitor.post(ACKNOWLEDGE, {"id": [mine.pk, pk]}).status_code == 404
    assert not Delivery.objects.filter(acknowledged_at__isnull=False).exists()


def test_a_receipt_is_taken_for_ones_own_only(visitor, user, friend):
    [mine], [others] = give(user), give(friend)
    response = visitor.post(
        DELIVERED, {"id": [mine.pk, others.pk]}, headers={"accept": "application/json"}
    )
    assert response.status_code == 204
    delivered = Delivery.objects.filter(delivered_at__isnull=False)
    assert list(delivered) == [mine]
    assert unread_pks() == {mine.pk, others.pk}  # shown is not read


def linked(user, link):
    [delivery] = give(user)
    Reminder.objects.filter(pk=delivery.reminder_id).update(link=link)
    return delivery


@pytest.mark.parametrize("link", ["/jobs/", "https://example.org/a?b=1#c"])
def test_to_follow_a_link_is_to_read(visitor, user, link):
    delivery = linked(user, link)
    address = f"/reminders/{delivery.pk}/open/"
    assert f'href="{address}"' in visitor.get(LIST).content.decode()
    for _ in range(2):  # what was read still leads there
        response = visitor.get(address)
        assert (response.status_code, response.headers["location"]) == (302, link)
    assert unread_pks() == set()


def test_a_link_that_is_fetched_in_advance_is_not_read(visitor, user):
    address = f"/reminders/{linked(user, '/jobs/').pk}/open/"
    for purpose in ("prefetch", "prefetch;prerender"):
        assert visitor.get(address, headers={"sec-purpose": purpose}).status_code == 302
    assert visitor.head(address).status_code == 302
    assert visitor.post(address).status_code == 405
    assert len(unread_pks()) == 1


def test_only_ones_own_link_is_followed(visitor, user, friend):
    [plain], others = give(user), linked(friend, "/jobs/")
    for pk in (others.pk, plain.pk, 2**63, 10**30, "9" * 5000):
        assert visitor.get(f"/reminders/{pk}/open/").status_code == 404
    assert unread_pks() == {others.pk, plain.pk}


@pytest.mark.parametrize("path", [UNREAD, SNOOZE, ACKNOWLEDGE, DELIVERED])
def test_every_action_takes_posts_with_ids_only(visitor, user, path):
    [mine] = give(user)
    assert visitor.get(path, {"id": mine.pk}).status_code == 405
    for data in ({}, {"id": [mine.pk, "x"]}):
        assert visitor.post(path, {"until": "hour", **data}).status_code == 400
    mine.refresh_from_db()
    assert (mine.snoozed_until, mine.delivered_at) == (None, None)


def test_settings_are_kept_and_told_to_open_pages(
    visitor, user, django_capture_on_commit_callbacks
):
    data = {
        "time_zone": "Europe/Berlin",
        "notify_from_level": "warning",
        "quiet_from": "22:00",
        "quiet_to": "06:30",
    }
    with django_capture_on_commit_callbacks(execute=True):
        assert visitor.post(SETTINGS, data).url == SETTINGS
    preference = Preference.objects.get(user=user)
    assert (preference.time_zone, preference.quiet_to) == ("Europe/Berlin", time(6, 30))
    badge = "{{ notify_levels|join:' ' }} {{ quiet_hours }}"
    assert rendered(badge, user) == "warning urgent 22:00-06:30"
    [told] = storage.read(user_channel(user), 1).log
    assert json.loads(told.data) == {"ids": [], "state": "settings"}


@pytest.mark.parametrize(
    "data",
    [
        {"time_zone": "Mars/Olympus"},
        {"notify_from_level": "loud"},
        {"quiet_from": "22:00"},
        {"quiet_to": "06:00"},
        {"quiet_from": "25:00", "quiet_to": "06:00"},
        {"quiet_from": "06:00", "quiet_to": "06:00"},
    ],
)
def test_settings_that_cannot_be_are_refused_with_a_reason(visitor, data):
    response = visitor.post(SETTINGS, data)
    assert response.status_code == 200
    assert "errorlist" in response.content.decode()
    assert not Preference.objects.exists()


def test_the_devices_zone_is_offered_until_one_is_chosen(visitor, user):
    visitor.cookies["zone"] = "Europe/Berlin"
    chosen = '<option value="Europe/Berlin" selected>'
    assert chosen in visitor.get(SETTINGS).content.decode()
    assert not Preference.objects.exists()
    Preference.objects.create(user=user, time_zone="Asia/Tokyo")
    html = visitor.get(SETTINGS).content.decode()
    assert chosen not in html
    assert "<strong>Europe/Berlin</strong>" in html


def rendered(template, user):
    request = RequestFactory().get("/")
    request.user = user
    return engines["django"].from_string(template).render(unread(request), request)


def test_a_page_that_says_nothing_of_reminders_makes_no_query(user, django_assert_num_queries):
    with django_assert_num_queries(0):
        rendered("Hello", user)


def test_ids_and_count_come_from_one_query(user, friend, django_assert_num_queries):
    give(user, read_at=timezone.now())
    give(friend)
    first, second = give(user, 2)
    with django_assert_num_queries(1):
        page = rendered(
            "{{ unread_count }}: {{ unread_ids|join:',' }}{% if unread_count > 1 %}!{% endif %}",
            user,
        )
    assert page == f"2: {second.pk},{first.pk}!"


def test_ids_end_at_their_limit_and_the_count_does_not(user, django_assert_num_queries):
    pks = [delivery.pk for delivery in give(user, UNREAD_IDS_MAX + 1)]
    with django_assert_num_queries(2):
        page = rendered("{{ unread_count }}: {{ unread_ids|join:',' }}", user)
    newest = ",".join(map(str, pks[:0:-1]))
    assert page == f"{UNREAD_IDS_MAX + 1}: {newest}"


def test_the_newest_urgent_ones_are_offered_until_they_are_read(user, friend):
    give(friend)
    calm, *urgent, read = give(user, URGENT_MAX + 3)
    Reminder.objects.exclude(pk=calm.reminder_id).update(level="urgent")
    Delivery.objects.filter(pk=read.pk).update(read_at=timezone.now())
    names = "{% for delivery in urgent %}{{ delivery.pk|stringformat:'d' }} {% endfor %}"
    newest = [str(delivery.pk) for delivery in urgent[-URGENT_MAX:]]
    assert rendered(names, user).split() == newest


def test_where_nothing_is_unread_nothing_urgent_is_asked_for(user, django_assert_num_queries):
    give(user, read_at=timezone.now())
    with django_assert_num_queries(1):
        assert rendered("{{ urgent }}", user) == "[]"


def test_a_visitor_has_none_without_a_query(django_assert_num_queries):
    template = (
        "{{ unread_count }} {{ unread_ids }} {{ urgent }} {{ notify_levels }} {{ quiet_hours }}"
    )
    with django_assert_num_queries(0):
        assert rendered(template, AnonymousUser()) == "0 [] [] [] "


def test_a_request_without_a_user_has_none():
    context = unread(RequestFactory().get("/"))
    assert (context["unread_count"](), context["unread_ids"]()) == (0, [])


def test_a_zone_that_is_gone_keeps_nobody_from_snoozing(visitor, user):
    [delivery] = give(user)
    Preference.objects.create(user=user, time_zone="US/Pacific-New")
    visitor.post(SNOOZE, {"id": delivery.pk, "until": "hour"})
    delivery.refresh_from_db()
    assert delivery.snoozed_until is not None


def test_settings_that_another_tab_has_just_made_are_changed(user):
    def form(level):
        return PreferenceForm({"notify_from_level": level}, instance=preference_of(user))

    first, second = form("info"), form("urgent")
    for each in (first, second):
        assert each.is_valid()
        each.save()
    assert Preference.objects.get(user=user).notify_from_level == "urgent"
