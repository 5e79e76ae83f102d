"""The list of one's own reminders, marking them read, and what every page says about them."""

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.template import engines
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from notifications.reminders.context_processors import UNREAD_IDS_MAX, unread
from notifications.reminders.models import Delivery, Reminder

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("live_redis")]

LIST = "/reminders/"
READ = "/reminders/read/"


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


def give(user, count=1, **values):
    """Give ``user`` some reminders; return the deliveries, oldest first."""
    return [
        Delivery.objects.create(
            user=user, reminder=Reminder.objects.create(title=f"Note {n}"), **values
        )
        for n in range(count)
    ]


def unread_pks():
    return set(Delivery.objects.unread().values_list("pk", flat=True))


@pytest.mark.parametrize(("method", "path"), [("get", LIST), ("post", READ)])
def test_a_visitor_is_sent_to_the_login(method, path):
    response = getattr(Client(), method)(path)
    assert response.status_code == 302
    assert response.url == f"{reverse('login')}?next={path}"


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
    assert response.context["unread"] is True
    assert visitor.get(LIST).context["unread"] is False


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
    # The login (two), the count, the page with its reminders, the unread ids of the header.
    with django_assert_max_num_queries(5):
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
    assert visitor.post(READ, {"id": mine.pk, "show": "unread"}).url == f"{LIST}?show=unread"
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


def test_a_visitor_has_none_without_a_query(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert rendered("{{ unread_count }} {{ unread_ids }}", AnonymousUser()) == "0 []"


def test_a_request_without_a_user_has_none():
    context = unread(RequestFactory().get("/"))
    assert (context["unread_count"](), context["unread_ids"]()) == (0, [])
