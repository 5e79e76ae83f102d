"""The pages of one's own jobs."""

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notifications.channels import user_channel
from notifications.jobs.models import FINISHED, Job, State
from notifications.messages import Draft
from notifications.publishing import publish, publish_many

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


def line(n: int) -> dict[str, Any]:
    return {"n": n, "at": "2031-05-04T10:20:30.123Z", "level": "info", "text": f"Line {n}"}


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


def test_progress_of_an_earlier_attempt_is_not_shown(client, owner):
    job = make(owner, state=State.RUNNING, version=2, total=100, current=10)
    tick(job, current=70)
    Job.objects.filter(pk=job.pk).update(version=3, attempts=2)
    assert client.get(job.get_absolute_url()).context["job"].current == 10


def test_progress_is_shown_although_somebody_has_changed_the_row_since(client, owner):
    job = make(owner, state=State.RUNNING, version=2, total=100, current=10)
    tick(job, current=70)
    Job.objects.filter(pk=job.pk).update(version=3)
    assert client.get(job.get_absolute_url()).context["job"].current == 70


def test_pages_render_from_rows_when_redis_is_away(client, owner, settings):
    settings.NOTIFICATIONS_REDIS_URL = "redis://127.0.0.1:1/0"
    job = make(owner, state=State.RUNNING, total=100, current=10)
    response = client.get(job.get_absolute_url())
    assert response.status_code == 200
    assert response.context["job"].current == 10
    # Proven by nothing: the stream begins with a reset.
    assert f'data-cursor="user-{owner.pk}:0,{job.channel}:0"' in response.content.decode()


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


def staff(owner, *permissions: str) -> None:
    owner.is_staff = True
    owner.save()
    codenames = Permission.objects.filter(codename__in=permissions)
    owner.user_permissions.set(codenames)


class TestTheList:
    def titles(self, client, **query) -> list[str]:
        page = client.get(reverse("jobs:list"), query).context["page"]
        return [job.title for job in page]

    def test_has_those_that_run_first_then_the_newest(self, client, owner):
        for title, state in (
            ("old and running", State.RUNNING),
            ("old and done", State.SUCCEEDED),
            ("trying again", State.RETRYING),
            ("waiting", State.QUEUED),
            ("new and lost", State.LOST),
        ):
            make(owner, title, state=state)
        assert self.titles(client) == [
            *("trying again", "old and running", "new and lost", "waiting", "old and done")
        ]

    def test_leaves_out_the_parts_of_a_group(self, client, owner):
        whole = make(owner, "whole", members_total=1)
        make(owner, "part", parent=whole)
        assert self.titles(client) == ["whole"]

    @pytest.mark.parametrize("state", State.values)
    def test_can_be_narrowed_to_a_state(self, client, owner, state):
        for each in State.values:
            make(owner, each, state=each)
        assert self.titles(client, state=state) == [state]

    def test_is_searched_for_all_words_of_a_title(self, client, owner):
        make(owner, "Contacts of May")
        make(owner, "Contacts of June")
        make(owner, "100% of May")
        assert self.titles(client, q="may contacts") == ["Contacts of May"]
        assert self.titles(client, q="%") == ["100% of May"]
        assert self.titles(client, q="  ") == ["100% of May", "Contacts of June", "Contacts of May"]
        assert self.titles(client, q="nothing like it") == []

    @pytest.mark.parametrize(
        "query", [{"state": "wild"}, {"q": "\0"}, {"q": "x" * 100_000}, {"state": "", "q": ""}]
    )
    def test_takes_whatever_is_asked(self, client, owner, query):
        make(owner)
        assert client.get(reverse("jobs:list"), query).status_code == 200

    def test_keeps_what_was_asked_from_page_to_page(self, client, owner):
        for n in range(30):
            make(owner, f"Job {n}")
        page = client.get(reverse("jobs:list"), {"q": "job", "state": "queued"}).content.decode()
        assert "?q=job&amp;state=queued&amp;page=2" in page

    def test_costs_as_many_queries_with_25_jobs_as_with_one(
        self, client, owner, django_assert_num_queries
    ):
        for number in (1, 24):
            for n in range(number):
                tick(make(owner, f"Job {n}", state=State.RUNNING, members_total=n))
            # Session, user, the jobs, their number, reminders, what their reader prefers.
            with django_assert_num_queries(6):
                client.get(reverse("jobs:list"))

    def test_keeps_large_results_out(self, client, owner, django_assert_max_num_queries):
        for _ in range(25):
            make(owner, state=State.SUCCEEDED, result="x" * 100_000)
        with django_assert_max_num_queries(6) as queries:
            client.get(reverse("jobs:list"))
        assert not [q for q in queries if '"jobs_job"."result",' in q["sql"]]


class TestThePageOfAJob:
    def page(self, client, job) -> str:
        response = client.get(job.get_absolute_url())
        assert response.status_code == 200
        return response.content.decode()

    def test_opens_the_channel_of_its_log(self, client, owner):
        job = make(owner, state=State.RUNNING)
        said = [publish(job.channel, "job-log", line(n)) for n in (1, 2)]
        page = self.page(client, job)
        assert re.search(rf'data-cursor="user-{owner.pk}:\d+,{job.channel}:{said[-1]}"', page)
        assert "Line 1<" in page
        assert "Line 2<" in page

    def test_shows_the_last_lines_of_very_many(self, client, owner):
        job = make(owner, state=State.RUNNING)
        lines = [Draft(job.channel, "job-log", line(n)) for n in range(1, 1203)]
        publish_many(lines)
        log = client.get(job.get_absolute_url()).context["log"]
        assert (log.count, len(log.lines)) == (1202, 1000)
        assert [log.lines[0]["n"], log.lines[-1]["n"]] == [203, 1202]
        assert "the last 1,000 of 1,202 lines" in self.page(client, job)

    def test_shows_the_log_that_is_kept_once_it_has_ended(self, client, owner):
        job = make(owner, state=State.FAILED, log_tail=[line(9)], log_lines=9)
        page = self.page(client, job)
        assert "Line 9<" in page
        assert "the last 1 of 9 lines" in page

    def test_shows_what_a_lost_job_had_said(self, client, owner):
        job = make(owner, state=State.LOST)
        publish(job.channel, "job-log", line(1))
        assert "Line 1<" in self.page(client, job)

    def test_shows_its_log_as_text(self, client, owner):
        job = make(owner, state=State.RUNNING)
        publish(job.channel, "job-log", line(1) | {"text": "<script>alert(1)</script>"})
        assert "<script>alert" not in self.page(client, job)

    def test_shows_steps_and_how_far_all_is(self, client, owner):
        steps = [
            {"title": "Read", "state": "done", "fraction": 1.0},
            {"title": "<b>Parse</b>", "state": "running", "fraction": 0.5},
            {"title": "Save", "state": "waiting", "fraction": None},
        ]
        job = make(owner, state=State.RUNNING, steps=steps, fraction=0.421, total=10, current=9)
        page = self.page(client, job)
        assert 'value="0.421"' in page
        assert "42%" in page
        assert "&lt;b&gt;Parse&lt;/b&gt; 50%" in page

    def test_has_the_parts_of_a_group_in_their_order(self, client, owner):
        whole = make(owner, "whole", members_total=30, members_done=2, members_failed=1)
        for n in reversed(range(30)):
            make(owner, f"part {n:02}", parent=whole, place=f"g{n:05}")
        response = client.get(whole.get_absolute_url())
        assert [job.title for job in response.context["members"]][:2] == ["part 00", "part 01"]
        assert "2 of 30 parts, 1 without success" in response.content.decode()
        more = client.get(whole.get_absolute_url(), {"page": 2})
        assert more.context["members"][0].title == "part 25"
        assert more.context["members_open"]
        assert whole.get_absolute_url() in self.page(client, whole.members.first())

    def test_leaves_the_parts_without_success_where_asked(self, client, owner):
        whole = make(owner, "whole", members_total=5, members_done=1, members_failed=3)
        for state in sorted(State.values):
            make(owner, state, parent=whole, state=state)
        response = client.get(whole.get_absolute_url(), {"page": 1, "parts": "failed"})
        parts = {job.title for job in response.context["members"]}
        assert parts == {"cancelled", "failed", "lost"}
        assert "Without success" in response.content.decode()
        Job.objects.filter(pk=whole.pk).update(members_failed=0)
        assert "Without success" not in self.page(client, whole)

    def test_costs_as_many_queries_with_25_parts_as_with_one(
        self, client, owner, django_assert_num_queries
    ):
        groups = []
        for number in (1, 25):
            whole = make(owner, members_total=number, state=State.RUNNING, members_failed=1)
            for n in range(number):
                make(owner, f"part {n}", parent=whole, state=State.RUNNING, attempts=1, total=10)
            groups.append(whole)
        for whole in groups:
            # Session, user, who may see it, its log, the job, the parts, their number, reminders,
            # what their reader prefers.
            with django_assert_num_queries(9):
                client.get(whole.get_absolute_url())

    def test_has_a_result_without_a_template_as_text(self, client, owner):
        job = make(owner, state=State.SUCCEEDED, result={"größe": [1, None]}, result_note="A note.")
        page = self.page(client, job)
        assert "&quot;größe&quot;: [\n    1,\n    null\n  ]" in page
        assert "A note." in page

    def test_has_the_beginning_of_a_result_of_many_megabytes(self, client, owner):
        for result in ("x" * 10_000_000, ["x" * 100] * 100_000):
            page = self.page(client, make(owner, state=State.SUCCEEDED, result=result))
            assert len(page) < 100_000
            assert "The download has all of it." in page

    def test_says_when_a_job_tries_again(self, client, owner):
        moment = timezone.now()
        job = make(owner, state=State.RETRYING, attempts=2, retry_at=moment)
        page = self.page(client, job)
        assert "Next attempt" in page
        assert f"{moment:%H:%M:%S} UTC" in page


class TestSomebodyElsesJob:
    """404 for people, who may not know that it is there; staff see it, and act where they may."""

    NAMES = ("jobs:detail", "jobs:result", "jobs:cancel", "jobs:retry")

    def answers(self, client, job) -> list[int]:
        first, second, *posts = (reverse(name, args=[job.pk]) for name in self.NAMES)
        gets = [client.get(url).status_code for url in (first, second)]
        return gets + [client.post(url).status_code for url in posts]

    @pytest.fixture(params=["of another", "of nobody"])
    def job(self, request):
        other = User.objects.create(username="other") if request.param == "of another" else None
        return make(other, state=State.FAILED, result=1, traceback="Traceback: secret")

    def test_is_not_found(self, client, job):
        assert self.answers(client, job) == [404] * 4

    def test_is_not_found_by_staff_without_the_permission(self, client, owner, job):
        staff(owner)
        assert self.answers(client, job) == [404] * 4

    def test_is_not_found_by_somebody_with_a_permission_who_is_not_staff(self, client, owner, job):
        staff(owner, "view_job", "change_job")
        User.objects.filter(pk=owner.pk).update(is_staff=False)
        assert self.answers(client, job) == [404] * 4

    def test_is_shown_to_staff_who_may_view_jobs(self, client, owner, job):
        staff(owner, "view_job")
        assert self.answers(client, job) == [200, 200, 403, 403]
        page = client.get(job.get_absolute_url()).content.decode()
        assert "Traceback: secret" in page

    def test_is_cancelled_by_staff_who_may_change_jobs(self, client, owner, job):
        staff(owner, "view_job", "change_job")
        Job.objects.update(state=State.QUEUED, traceback="")
        assert client.post(reverse("jobs:cancel", args=[job.pk])).status_code == 303
        job.refresh_from_db()
        assert job.cancel_requested is not None or job.state == State.CANCELLED

    def test_keeps_its_traceback_from_its_owner(self, client, owner):
        job = make(owner, state=State.FAILED, traceback="Traceback: secret")
        assert "secret" not in client.get(job.get_absolute_url()).content.decode()


class TestCancelling:
    def post(self, client, job):
        return client.post(reverse("jobs:cancel", args=[job.pk]))

    def test_a_waiting_job_leads_back_to_it(self, client, owner):
        job = make(owner)
        response = self.post(client, job)
        assert (response.status_code, response.url) == (303, job.get_absolute_url())
        job.refresh_from_db()
        assert job.state == State.CANCELLED

    def test_twice_is_no_error(self, client, owner):
        job = make(owner, state=State.RUNNING)
        assert [self.post(client, job).status_code for _ in range(2)] == [303, 303]
        page = client.get(job.get_absolute_url()).content.decode()
        assert "Stopping." in page
        assert reverse("jobs:cancel", args=[job.pk]) not in page

    @pytest.mark.parametrize("state", sorted(FINISHED))
    def test_after_its_end_changes_nothing(self, client, owner, state):
        job = make(owner, state=state)
        assert self.post(client, job).status_code == 303
        job.refresh_from_db()
        assert job.state == state

    def test_is_no_link(self, client, owner):
        job = make(owner)
        for name in ("jobs:cancel", "jobs:retry"):
            assert client.get(reverse(name, args=[job.pk])).status_code == 405
        job.refresh_from_db()
        assert job.state == State.QUEUED

    def test_needs_a_token(self, owner):
        job = make(owner)
        client = Client(enforce_csrf_checks=True)
        client.force_login(owner)
        for name in ("jobs:cancel", "jobs:retry"):
            assert client.post(reverse(name, args=[job.pk])).status_code == 403

    def test_needs_a_login(self, client, owner):
        client.logout()
        assert self.post(client, make(owner)).status_code == 302


class TestTryingAgain:
    def test_is_offered_where_the_task_allows_it(self, client, owner):
        for retryable in (True, False):
            job = make(owner, state=State.FAILED, retryable=retryable)
            page = client.get(job.get_absolute_url()).content.decode()
            assert (reverse("jobs:retry", args=[job.pk]) in page) is retryable

    def test_where_it_is_not_possible_is_said(self, client, owner):
        job = make(owner, state=State.FAILED)
        response = client.post(reverse("jobs:retry", args=[job.pk]), follow=True)
        assert response.redirect_chain == [(job.get_absolute_url(), 303)]
        assert 'class="notice" data-level="warning"' in response.content.decode()
        assert Job.objects.count() == 1
