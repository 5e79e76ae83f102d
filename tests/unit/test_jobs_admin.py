"""Jobs in Django's admin: found, looked at, cancelled and tried again, never changed."""

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from notifications.jobs.models import Job, State

pytestmark = pytest.mark.django_db

LIST = "admin:jobs_job_changelist"


@pytest.fixture
def somebody(live_redis) -> User:
    return User.objects.create(username="somebody")


@pytest.fixture
def staff(client, live_redis) -> User:
    user = User.objects.create(username="staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_job"))
    client.force_login(user)
    return user


@pytest.fixture
def boss(client, staff) -> User:
    staff.user_permissions.set(
        Permission.objects.filter(codename__in=("view_job", "change_job", "delete_job"))
    )
    return staff


def make(owner, title="Contacts", **fields) -> Job:
    return Job.objects.create(owner=owner, title=title, task="app.import", **fields)


def act(client, action: str, *jobs: Job):
    form = {"action": action, "_selected_action": [str(job.pk) for job in jobs]}
    response = client.post(reverse(LIST), form, follow=True)
    assert response.status_code == 200
    for job in jobs:
        job.refresh_from_db()
    return [str(message) for message in response.context["messages"]]


def titles(client, **query) -> list[str]:
    response = client.get(reverse(LIST), query)
    assert response.status_code == 200
    return sorted(job.title for job in response.context["cl"].queryset)


def test_jobs_are_shown_and_not_changed(client, boss, somebody):
    job = make(somebody, state=State.FAILED, error="ValueError: x", traceback="Traceback: <x>")
    page = client.get(reverse("admin:jobs_job_change", args=[job.pk])).content.decode()
    assert '<pre id="traceback">Traceback: &lt;x&gt;</pre>' in page
    assert 'name="title"' not in page
    assert client.get(reverse("admin:jobs_job_add")).status_code == 403
    assert client.post(reverse("admin:jobs_job_change", args=[job.pk]), {}).status_code == 403


def test_every_state_and_every_kind_of_result_has_a_page(client, staff, somebody):
    whole = make(somebody, "whole", members_total=1, state=State.RUNNING)
    jobs = [make(somebody, state=state, result=[state], parent=whole) for state in State.values]
    log = [{"n": 1, "at": "2031-05-04T10:20:30.123Z", "level": "info", "text": "A line"}]
    jobs.append(make(None, result="x" * 1_000_000, log_tail=log, log_lines=1))
    for job in (whole, *jobs):
        assert client.get(reverse("admin:jobs_job_change", args=[job.pk])).status_code == 200


def test_an_error_links_to_its_traceback(client, staff, somebody):
    job = make(somebody, state=State.FAILED, error="ValueError: <b>" + "x" * 200)
    page = client.get(reverse(LIST)).content.decode()
    url = reverse("admin:jobs_job_change", args=[job.pk])
    assert f'<a href="{url}#traceback">ValueError: &lt;b&gt;xxx' in page
    assert "x" * 100 not in page


def test_jobs_are_found_by_title_error_owner_and_id(client, staff, somebody):
    make(somebody, "by owner")
    make(None, "by title")
    make(None, "by error", error="OSError: no space", state=State.FAILED)
    job = make(None, "by id")
    assert titles(client, q="somebody") == ["by owner"]
    assert titles(client, q="title") == ["by title"]
    assert titles(client, q="space") == ["by error"]
    assert titles(client, q=f" {job.pk} ") == ["by id"]
    assert titles(client, q=str(job.pk)[:8]) == []


def test_jobs_are_filtered(client, staff, somebody):
    whole = make(somebody, "whole", state=State.RUNNING, members_total=1)
    make(somebody, "part", parent=whole, state=State.LOST, error="The worker is gone.")
    assert titles(client, state__exact="lost") == ["part"]
    assert titles(client, parent__isempty="1") == ["whole"]
    assert titles(client, parent__id__exact=str(whole.pk)) == ["part"]
    assert titles(client, error__isempty="0") == ["part"]


def test_a_list_of_many_jobs_costs_few_queries(
    client, staff, somebody, django_assert_max_num_queries
):
    for n in range(50):
        make(somebody, f"Job {n}", result="x" * 1000)
    with django_assert_max_num_queries(12):
        client.get(reverse(LIST))


def test_jobs_are_cancelled(client, boss, somebody):
    waiting, running = make(somebody), make(somebody, state=State.RUNNING)
    done = make(somebody, state=State.SUCCEEDED)
    said = act(client, "cancel_jobs", waiting, running, done)
    assert waiting.state == State.CANCELLED
    assert running.cancel_requested is not None
    assert done.state == State.SUCCEEDED
    left = "1 job can't be cancelled: it has ended, or was asked before."
    assert said == ["2 jobs were asked to stop.", left]


def test_what_cannot_be_tried_again_is_said(client, boss, somebody):
    job = make(somebody, state=State.FAILED)
    said = act(client, "retry_jobs", job)
    assert [text[:29] for text in said] == ["1 job can't be tried again: i"]
    assert Job.objects.count() == 1


@pytest.mark.parametrize("action", ["cancel_jobs", "retry_jobs"])
def test_who_may_only_look_cannot_act(client, staff, somebody, action):
    job = make(somebody)
    assert action not in client.get(reverse(LIST)).content.decode()
    act(client, action, job)
    assert job.state == State.QUEUED
    assert job.cancel_requested is None
