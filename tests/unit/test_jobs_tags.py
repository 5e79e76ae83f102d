"""Jobs in a site's own templates."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.template import Context, Template
from django.test import RequestFactory

from notifications.jobs.models import Job, State
from notifications.jobs.templatetags.carillon_jobs import percent, share, short_time
from notifications.pages import live_page


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


@pytest.mark.django_db
class TestATemplateOfASite:
    def test_has_a_bar_for_a_job(self):
        job = Job.objects.create(title="<b>Contacts</b>", task="t", state=State.RUNNING, total=4)
        html = render("{% job_progress job %}", job=job)
        assert f'data-job-id="{job.pk}"' in html
        assert "&lt;b&gt;Contacts&lt;/b&gt;" in html
        assert "<progress" in html

    def test_says_where_its_stream_is(self, live_redis):
        user = User.objects.create(username="somebody")
        request = RequestFactory().get("/")
        request.user = user
        html = live_page(lambda request: render("<html{% live_attributes %}>", request=request))(
            request
        )
        assert f'data-user="{user.pk}"' in html
        assert 'data-stream-url="/events/"' in html
        assert f'data-cursor="user-{user.pk}:' in html
        assert 'data-stream-types="job job-log member"' in html

    def test_is_still_where_the_page_is_not_live(self):
        request = RequestFactory().get("/")
        assert render("<html{% live_attributes %}>", request=request) == "<html>"
        assert render("<html{% live_attributes %}>") == "<html>"

    def test_has_the_script_and_its_words(self):
        html = render("{% job_scripts %}")
        assert 'type="module"' in html
        assert 'id="job-texts"' in html
