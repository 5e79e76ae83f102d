"""Jobs in a site's own templates."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.template import Context, Template
from django.test import RequestFactory

from notifications.jobs.models import Job, State
from notifications.jobs.templatetags.carillon_jobs import percent, share, short_time
from notifications.pages import live_page
from notifications.publishing import publish


def render(text: str, **context) -> str:
    return Template("{% load carillon_jobs %}" + text).render(Context(context))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"fraction": 0.5, "current": 1, "total": 10}, 0.5),
        ({"current": 1, "total": 10}, 0.1),
        ({"current": 11, "total": 10}, 1.0),
        ({"current": 5, "total": None}, None),
        ({"current": 5, "total": 0}, None),
        ({"current": 5, "total": -1}, None),
        ({"fraction": float("nan")}, None),
        ({"fraction": 1.5}, 1.0),
    ],
)
def test_a_share_is_between_nothing_and_all(fields, expected):
    assert share(Job(**fields)) == expected


def test_only_what_is_done_has_all_percent():
    assert [percent(value) for value in (None, 0.0, 0.999, 1.0)] == ["", "0%", "99%", "100%"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.01, "under 0.1 s"),
        (4.24, "4.2 s"),
        (60, "1\xa0minute"),
        (7500, "2\xa0hours, 5\xa0minutes"),
    ],
)
def test_a_duration_is_as_long_as_one_says(seconds, text):
    assert short_time(timedelta(seconds=seconds)) == text
    assert short_time(None) == ""


@pytest.fixture
def request_of() -> Callable[[Any], HttpRequest]:
    def request_of(user: Any) -> HttpRequest:
        request = RequestFactory().get("/")
        request.user = user
        return request

    return request_of


@pytest.mark.django_db
class TestATemplateOfASite:
    def test_has_a_bar_for_a_job(self):
        job = Job.objects.create(title="<b>Contacts</b>", task="t", state=State.RUNNING, total=4)
        html = render("{% job_progress job %}", job=job)
        assert f'data-job-id="{job.pk}"' in html
        assert "&lt;b&gt;Contacts&lt;/b&gt;" in html
        assert "<progress" in html

    def test_its_first_bar_brings_the_script_and_the_stream(self, live_redis, request_of):
        request = request_of(User.objects.create(username="ada"))
        job = Job.objects.create(title="t", task="t", owner=request.user)
        html = render("{% job_progress job %}{% job_progress job %}", request=request, job=job)
        assert html.count('type="module"') == html.count('id="job-texts"') == 1
        assert f'data-user="{request.user.pk}"' in html
        assert 'data-stream-url="/events/"' in html
        assert f'data-cursor="user-{request.user.pk}:' in html
        assert 'data-stream-types="job job-log member"' in html

    def test_misses_nothing_between_the_view_and_the_bar(self, live_redis, request_of):
        request = request_of(User.objects.create(username="ada"))
        jobs = [Job.objects.create(title="t", task="t", owner=request.user) for _ in range(2)]
        Job.objects.update(state=State.SUCCEEDED)  # after the view has read them
        html = render(
            "{% for job in jobs %}{% job_progress job %}{% endfor %}", request=request, jobs=jobs
        )
        assert html.count('data-state="succeeded"') == 2

    def test_asks_nothing_twice_where_the_view_is_live(
        self, live_redis, request_of, django_assert_num_queries
    ):
        request = request_of(User.objects.create(username="ada"))
        job = Job.objects.create(title="t", task="t", owner=request.user)
        with django_assert_num_queries(0):
            html = live_page(
                lambda request: render("{% job_progress job %}", request=request, job=job)
            )(request)
        assert 'data-stream-url="/events/"' in html

    def test_begins_where_the_bar_is_already(self, live_redis, request_of):
        owner = User.objects.create(username="ada")
        job = Job.objects.create(title="t", task="t", owner=owner, state=State.RUNNING)
        publish(f"user-{owner.pk}", "job", {**job.as_event(), "fraction": 0.75}, key=job.key)
        html = render("{% job_progress job %}", request=request_of(owner), job=job)
        assert 'value="0.75"' in html

    def test_looks_now_and_then_at_a_job_that_its_stream_tells_nothing_of(
        self, live_redis, request_of
    ):
        owner, ben = (User.objects.create(username=name) for name in ("ada", "ben"))
        job = Job.objects.create(title="t", task="t", owner=owner)
        part = Job.objects.create(title="t", task="t", owner=owner, parent=job)
        bars = [(owner, job), (ben, job), (owner, part)]
        pages = [
            render("{% job_progress job %}", request=request_of(who), job=of) for who, of in bars
        ]
        assert ["data-poll" in page for page in pages] == [False, True, True]

    def test_shows_a_visitor_how_it_stands(self, request_of):
        job = Job.objects.create(title="t", task="t")
        html = render("{% job_progress job %}", request=request_of(AnonymousUser()), job=job)
        assert "<progress" in html
        assert "data-stream-url" not in html

    def test_has_a_bar_without_redis(self, settings, request_of):
        settings.NOTIFICATIONS_REDIS_URL = "redis://127.0.0.1:1/0"
        job = Job.objects.create(title="t", task="t", state=State.RUNNING)
        request = request_of(User.objects.create(username="ada"))
        html = render("{% job_progress job %}", request=request, job=job)
        # Proven by nothing: the stream begins with a reset.
        assert f'data-cursor="user-{request.user.pk}:0"' in html

    def test_may_have_the_script_at_a_place_of_its_own(self, request_of):
        job = Job.objects.create(title="t", task="t")
        html = render(
            "{% job_scripts types='job message' styles=False %}{% job_progress job %}",
            request=request_of(AnonymousUser()),
            job=job,
        )
        assert html.count('type="module"') == html.count('id="job-texts"') == 1
        assert "stylesheet" not in html
