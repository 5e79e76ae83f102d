"""The pages of one's own jobs."""

import json

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from notifications.channels import user_channel
from notifications.jobs.models import Job, State
from notifications.publishing import publish

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(live_redis) -> User:
    return User.objects.create(username="somebody")


@pytest.fixture
def client(client, owner):
    client.force_login(owner)
    return client


def make(owner, title="Contacts", **fields) -> Job:
    return Job.objects.create(owner=owner, title=title, task="app.import", **fields)


def tick(job: Job, **changes) -> None:
    data = job.as_event() | {"tick": 5} | changes
    publish(user_channel(job.owner_id), "job", data, key=job.key)


@pytest.mark.parametrize("name", ["jobs:list", "analysis:home"])
def test_a_list_shows_ones_own_jobs_only(client, owner, name):
    make(owner, "Mine")
    make(User.objects.create(username="other"), "Theirs")
    make(None, "Nobodys")
    page = client.get(reverse(name)).content.decode()
    assert "Mine" in page
    assert "Theirs" not in page
    assert "Nobodys" not in page


@pytest.mark.parametrize("name", ["jobs:detail", "jobs:result"])
def test_somebody_elses_job_is_not_found(client, name):
    job = make(User.objects.create(username="other"), state=State.SUCCEEDED, result={})
    assert client.get(reverse(name, args=[job.pk])).status_code == 404


def test_a_visitor_is_led_to_the_login(client, owner):
    client.logout()
    for url in (reverse("jobs:list"), make(owner).get_absolute_url(), reverse("analysis:home")):
        response = client.get(url)
        assert response.status_code == 302
        assert response.url.startswith("/login/")


def test_a_running_job_is_shown_with_its_newest_progress(client, owner):
    job = make(owner, state=State.RUNNING, version=2, total=100, current=10)
    tick(job, current=70, message="Reading")
    response = client.get(job.get_absolute_url())
    shown = response.context["job"]
    assert (shown.current, shown.tick, shown.message) == (70, 5, "Reading")
    assert 'data-version="2"' in response.content.decode()
    assert 'data-tick="5"' in response.content.decode()


def test_progress_of_an_older_state_is_not_shown(client, owner):
    job = make(owner, state=State.RUNNING, version=2, total=100, current=10)
    tick(job, current=70)
    Job.objects.filter(pk=job.pk).update(version=3)
    assert client.get(job.get_absolute_url()).context["job"].current == 10


def test_pages_render_from_rows_when_redis_is_away(client, owner, settings):
    settings.NOTIFICATIONS_REDIS_URL = "redis://127.0.0.1:1/0"
    job = make(owner, state=State.RUNNING, total=100, current=10)
    response = client.get(job.get_absolute_url())
    assert response.status_code == 200
    assert response.context["job"].current == 10
    assert 'data-cursor="0"' in response.content.decode()


def test_the_cursor_is_read_before_the_rows(client, owner, monkeypatch):
    """A message that is published in between is in both, never in neither."""
    from notifications import pages

    order = []
    cursors = pages.storage.cursors
    monkeypatch.setattr(
        pages.storage, "cursors", lambda names: order.append("cursor") or cursors(names)
    )
    manager_filter = Job.objects.filter

    def rows(*args, **kwargs):
        order.append("rows")
        return manager_filter(*args, **kwargs)

    monkeypatch.setattr(Job.objects, "filter", rows)
    client.get(reverse("jobs:list"))
    assert order[:2] == ["cursor", "rows"]


def test_a_list_costs_the_same_for_one_job_and_for_many(
    client, owner, django_assert_max_num_queries
):
    for n in range(25):
        make(owner, f"Job {n}", state=State.RUNNING)
    with django_assert_max_num_queries(6):
        assert client.get(reverse("jobs:list")).status_code == 200


def test_lists_are_paged_and_a_wild_page_number_is_no_error(client, owner):
    for n in range(30):
        make(owner, f"Job {n}")
    assert len(client.get(reverse("jobs:list")).context["page"]) == 25
    assert len(client.get(reverse("jobs:list"), {"page": 2}).context["page"]) == 5
    for wild in ("0", "-1", "x", "999999999999999999999"):
        assert client.get(reverse("jobs:list"), {"page": wild}).status_code == 200


def test_a_result_is_a_download(client, owner):
    job = make(owner, "Größe.txt", state=State.SUCCEEDED, result={"größe": [1, "ß"]})
    response = client.get(reverse("jobs:result", args=[job.pk]))
    assert json.loads(response.content) == {"größe": [1, "ß"]}
    assert "größe" in response.content.decode()
    assert response.headers["Content-Type"] == "application/json"
    disposition = response.headers["Content-Disposition"]
    assert disposition == "attachment; filename*=utf-8''Gr%C3%B6%C3%9Fe.txt.json"


def test_a_job_without_a_result_has_nothing_to_download(client, owner):
    job = make(owner, state=State.RUNNING)
    assert client.get(reverse("jobs:result", args=[job.pk])).status_code == 404


def test_markup_in_a_title_stays_text(client, owner):
    job = make(owner, "<script>alert(1)</script>", state=State.FAILED, error="<b>bold</b>")
    for url in (reverse("jobs:list"), job.get_absolute_url()):
        page = client.get(url).content.decode()
        assert "<script>alert" not in page
        assert "<b>bold" not in page


@pytest.mark.parametrize("state", State.values)
@pytest.mark.parametrize("total", [None, 0, 100])
def test_every_state_has_a_page(client, owner, state, total):
    job = make(owner, state=state, total=total, current=10, result={} if total else None)
    page = client.get(job.get_absolute_url())
    assert page.status_code == 200
    assert f'data-state="{state}"' in page.content.decode()


def test_the_admin_shows_jobs_and_changes_none(client, owner):
    User.objects.filter(pk=owner.pk).update(is_staff=True, is_superuser=True)
    job = make(owner, state=State.FAILED, error="ValueError: x")
    assert client.get(reverse("admin:jobs_job_changelist"), {"q": "Contacts"}).status_code == 200
    assert client.get(reverse("admin:jobs_job_change", args=[job.pk])).status_code == 200
    assert client.get(reverse("admin:jobs_job_add")).status_code == 403
