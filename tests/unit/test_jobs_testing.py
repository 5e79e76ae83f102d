"""The pytest plugin: what a site's tests of its own jobs look like, and that they can fail."""

import re
import sys
import time
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from celery import shared_task
from django.contrib.auth.models import User

from notifications import storage
from notifications.exceptions import RedisUnavailable
from notifications.jobs import TrackedTask, testing
from notifications.jobs.logs import log
from notifications.jobs.models import Job, State
from notifications.jobs.phases import step, steps
from notifications.jobs.tracking import track
from notifications.publishing import publish, publish_many, publish_on_commit


@shared_task(base=TrackedTask)
def import_contacts(text: str) -> dict[str, int]:
    steps("Read", ("Save", 2))
    with step("Read"):
        lines = text.split()
    with step("Save"):
        for line in track(lines, "Saving", unit="contacts"):
            if "@" not in line:
                raise ValueError(f"{line} is no address")
    log(f"{len(lines)} contacts imported")
    return {"contacts": len(lines)}


class TestRunJob:
    def test_it_gives_the_row_the_progress_and_the_lines(self, run_job):
        run = run_job(import_contacts, "ada@example.org ben@example.org", title="Contacts")
        assert (run.job.state, run.job.title) == (State.SUCCEEDED, "Contacts")
        assert run.job.result == {"contacts": 2}
        assert run.lines == ["2 contacts imported"]
        assert [event["current"] for event in run.events if event["unit"]][-1] == 2
        assert run.events[-1]["state"] == "succeeded"

    def test_no_progress_is_left_out(self, run_job, assert_progress_monotone):
        run = run_job(import_contacts, " ".join(["a@example.org"] * 50))
        counts = [event["current"] for event in run.events if event["unit"] == "contacts"]
        assert set(range(51)) <= set(counts)
        assert_progress_monotone(run)

    def test_of_very_many_only_the_first_are_kept_and_it_stays_quick(self, run_job):
        started = time.monotonic()
        run = run_job(import_contacts, "a@b " * 100_000)
        assert time.monotonic() - started < 10
        assert 1000 <= len(run.events) < 1200
        assert run.job.current == 100_000

    def test_a_task_that_fails_raises_nothing(self, run_job):
        run = run_job(import_contacts, "ada@example.org ben")
        assert (run.job.state, run.job.error) == (State.FAILED, "ValueError: ben is no address")
        assert run.job.current == 1
        assert run.lines == []

    def test_what_the_owner_hears_is_published(self, run_job, published):
        owner = User.objects.create(username="ada")
        run_job(import_contacts, "ada@example.org", owner=owner)
        states = [said.data["state"] for said in published.on(f"user-{owner.pk}") if not said.key]
        assert states == ["queued", "running", "succeeded"]
        assert published[-1].clear == f"job-{Job.objects.get().pk}"

    def test_celery_is_as_it_was_afterwards(self, run_job):
        before = import_contacts.app.conf.task_always_eager
        run_job(import_contacts, "")
        assert import_contacts.app.conf.task_always_eager == before


class TestPublished:
    def test_it_collects_what_is_said_in_order(self, published):
        publish("user-1", "greeting", {"text": "Hello"})
        publish("user-2", "tick", {"n": 1}, key="a")
        assert published == [
            testing.Said("user-1", "greeting", {"text": "Hello"}),
            testing.Said("user-2", "tick", {"n": 1}, key="a"),
        ]
        assert published.on("user-2") == published.of("tick") == published[1:]

    def test_ids_rise(self, published):
        ids = [publish("user-1", "a", 1), publish("user-1", "a", 2)]
        assert publish_many([]) == []
        assert ids == [1, 2]

    def test_latest_values_are_replaced_and_cleared(self, published):
        publish("user-1", "tick", 1, key="a")
        publish("user-1", "tick", 2, key="a")
        assert storage.latest_values("user-1")["a"].data == "2"
        publish("user-1", "done", 1, clear="a")
        assert storage.latest_values("user-1") == {}

    def test_messages_are_checked_as_always(self, published):
        with pytest.raises(ValueError, match=r"NaN|not JSON"):
            publish("user-1", "tick", float("nan"))
        assert published == []

    def test_what_waits_for_a_commit_waits(self, published, db, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks(execute=True):
            publish_on_commit("user-1", "tick", 1)
            assert published == []
        assert len(published) == 1

    def test_redis_is_away(self, published):
        with pytest.raises(RedisUnavailable):
            storage.read("user-1")


class TestMonotone:
    """Each fault is found."""

    def event(self, **changes) -> dict:
        event = Job(title="t", state=State.RUNNING).as_event()
        return {**event, "id": "1", "total": 10, "current": 5, "fraction": 0.5, **changes}

    @pytest.mark.parametrize(
        ("changes", "complaint"),
        [
            ({"tick": 2, "fraction": 0.4}, "The bar goes back"),
            ({"tick": 2, "fraction": 1.1}, "not within 0 and 1"),
            ({"tick": 2, "current": 4}, "The count goes back"),
            ({"tick": 2, "current": 11}, "More than there is"),
            ({"tick": 1}, "Older than the one before"),
            ({"tick": 9, "version": 0}, "Older than the one before"),
        ],
    )
    def test_a_fault_is_found(self, assert_progress_monotone, changes, complaint):
        with pytest.raises(AssertionError, match=complaint):
            assert_progress_monotone([self.event(tick=1), self.event(**changes)])

    def test_the_bar_may_be_unknown_in_between_and_not_go_back_behind_that(
        self, assert_progress_monotone
    ):
        events = [self.event(tick=1), self.event(tick=2, fraction=None)]
        assert_progress_monotone([*events, self.event(tick=3, fraction=0.6)])
        with pytest.raises(AssertionError, match="The bar goes back"):
            assert_progress_monotone([*events, self.event(tick=3, fraction=0.4)])

    def test_another_attempt_or_another_job_starts_anew(self, assert_progress_monotone):
        events = [self.event(tick=5), self.event(tick=1, version=2, attempts=1, fraction=0.1)]
        assert_progress_monotone([*events, self.event(id="2", fraction=0.0)])

    def test_another_phase_counts_anew(self, assert_progress_monotone):
        later = self.event(tick=2, current=0, message="Saving")
        assert_progress_monotone([self.event(tick=1), later])


def test_the_plugin_is_found_by_its_entry_point():
    import tomllib

    pyproject = Path(__file__).resolve().parents[2] / "pyproject.toml"
    points = tomllib.loads(pyproject.read_text())["project"]["entry-points"]["pytest11"]
    # Named after its module, so that `-p` and `pytest_plugins` load it no second time.
    assert points == {testing.__name__: testing.__name__}


@cache  # a task can't be registered twice
def example() -> dict:
    text = (Path(__file__).resolve().parents[2] / "docs" / "tracking.md").read_text()
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", text, re.DOTALL)
    sources = {name.removesuffix(".py").replace("/", "."): code for name, code in blocks}
    for name in ("contacts", *sources):
        sys.modules[name] = module = ModuleType(name)
        exec(sources.get(name, ""), vars(module))  # noqa: S102 - our own page
    return vars(module)


class TestTheExampleInTheDocs:
    """It runs as it stands there."""

    def test_an_import(self, run_job, assert_progress_monotone):
        example()["test_an_import_tells_how_far_it_is"](run_job, assert_progress_monotone)

    def test_a_failure(self, run_job):
        example()["test_a_line_that_is_no_address_ends_it"](run_job)

    def test_the_owner(self, run_job, published, django_user_model):
        example()["test_the_owner_is_told"](run_job, published, django_user_model)

    def test_there_is_no_other(self):
        assert len([name for name in example() if name.startswith("test_")]) == 3
