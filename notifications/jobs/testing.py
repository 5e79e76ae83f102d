"""
A pytest plugin for a site's own tests of its jobs; it needs neither Redis nor a worker.

Installed with the package, so the fixtures are there::

    def test_an_import_tells_how_far_it_is(run_job, assert_progress_monotone):
        run = run_job(import_contacts, "contacts.csv")
        assert run.job.state == "succeeded"
        assert run.events[-1]["current"] == 3
        assert run.lines == ["3 contacts imported"]
        assert_progress_monotone(run)


    def test_a_greeting_goes_to_its_user(published, user):
        greet(user)
        [said] = published.on(f"user-{user.pk}")
        assert said.data == {"text": "Hello"}
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from .models import Job

EVENTS_MAX: Final = 1000  # of one run without a throttle; from there on ten a second

Item = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class Said:
    """One message; ``data`` as it came out of JSON, ``key`` and ``clear`` empty where not given."""

    channel: str
    type: str
    data: Any
    key: str = ""
    clear: str = ""


class Published(list[Said]):
    """All that was said in a test, in order."""

    def on(self, channel: str) -> list[Said]:
        return [said for said in self if said.channel == channel]

    def of(self, type: str) -> list[Said]:
        return [said for said in self if said.type == type]


@dataclass(slots=True)
class Run:
    """
    What came of a job: its row at the end, its progress, and its log lines.

    ``events`` are the data of ``job`` messages, one for each progress, also of a job that nobody
    owns; the last one is the end.
    """

    job: "Job"
    events: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Published:
    """
    Collect what is published, in place of Redis, which counts as being away for all else.

    What is published on commit is said when the test's transaction is: wrap the code in pytest-
    django's ``django_capture_on_commit_callbacks(execute=True)``.
    """
    from redis.exceptions import ConnectionError

    from notifications import connections, storage
    from notifications.messages import Message

    said = Published()
    latest: dict[str, dict[str, Message]] = {}
    lock = Lock()

    def append(channel: str, type: str, text: str, key: str = "", clear: str = "") -> int:
        with lock:
            said.append(Said(channel, type, _decode(text), key, clear))
            values = latest.setdefault(channel, {})
            if key:
                values[key] = Message(channel, len(said), 0, key, type, text)
            values.pop(clear, None)
            return len(said)

    def append_many(items: Sequence[Item]) -> list[int]:
        return [append(*item) for item in items]

    def no_redis() -> Any:
        raise ConnectionError("The fixture `published` takes the place of Redis in this test.")

    monkeypatch.setattr(storage, "append", append)
    monkeypatch.setattr(storage, "append_many", append_many)
    monkeypatch.setattr(storage, "latest_values", lambda channel: dict(latest.get(channel, {})))
    monkeypatch.setattr(connections, "sync_client", no_redis)
    return said


@pytest.fixture
def run_job(published: Published, db: None) -> Callable[..., Run]:
    """
    Run a task at once, here, as a job: ``run_job(task, *args, owner=None, title="", **kwargs)``.

    Returns a ``Run``. Nothing is raised for a task that fails: see ``run.job.state`` and
    ``run.job.error``. Its progress is not throttled, so that even a short task's can be looked at.
    """

    def run(task: Any, *args: Any, owner: Any = None, title: str = "", **kwargs: Any) -> Run:
        from django.test import TestCase

        from .models import Job

        with _eager(task.app), _every_event() as events:
            with TestCase.captureOnCommitCallbacks(execute=True):
                pk = task.apply_async(args, kwargs, owner=owner, title=title).job.pk
            job = Job.objects.get(pk=pk)
        events = [event for event in events if event["id"] == str(pk)]
        events.append(_as_json(job))
        lines = [line["text"] for line in job.log_tail]
        return Run(job, events, lines)

    return run


@pytest.fixture
def assert_progress_monotone() -> Callable[[Any], None]:
    """
    Check that a bar is honest: a function of a ``Run``, or of the data of ``job`` messages.

    In one attempt of a job the fraction stays within 0 and 1 and never falls, messages never come
    in a wrong order, and within one phase the count never falls and stays within its total.
    """
    return _assert_monotone


def _assert_monotone(run: "Run | Iterable[dict[str, Any]]") -> None:
    events = run.events if isinstance(run, Run) else list(run)
    before: dict[tuple[Any, ...], dict[str, Any]] = {}
    highest: dict[tuple[Any, ...], float] = {}
    for number, event in enumerate(events):
        attempt = event["id"], event.get("attempts")
        where = f"event {number}: {event}"
        last = before.get(attempt)
        before[attempt] = event
        fraction = event["fraction"]
        if fraction is not None:
            assert 0 <= fraction <= 1, f"The fraction is not within 0 and 1 in {where}"
            assert fraction >= highest.get(attempt, 0), f"The bar goes back in {where}"
            highest[attempt] = fraction
        if event["total"] is not None:
            assert event["current"] <= event["total"], f"More than there is in {where}"
        if last is None:
            continue
        order = [(e["version"], e["tick"]) for e in (last, event)]
        assert order[0] < order[1], f"Older than the one before: {where}"
        if _phase(last) == _phase(event):
            assert event["current"] >= last["current"], f"The count goes back in {where}"


def _phase(event: dict[str, Any]) -> tuple[Any, ...]:
    return event["message"], event["unit"], [step["state"] for step in event["steps"]]


@contextmanager
def _eager(app: Any) -> Iterator[None]:
    names = {"task_always_eager": True, "task_eager_propagates": False}
    before = {name: app.conf[name] for name in names}
    app.conf.update(names)
    try:
        yield
    finally:
        app.conf.update(before)


@contextmanager
def _every_event() -> Iterator[list[dict[str, Any]]]:
    """Collect each state of progress, none of them left out."""
    from . import progress, reporter

    events: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch, pytest.MonkeyPatch.context() as hurry:
        hurry.setattr(reporter, "PUBLISH_SECONDS", 0.0)
        hurry.setattr(progress, "STRIDE_MAX", 1)
        original = reporter.Reporter._set

        def collect(self: Any, *args: Any) -> None:
            original(self, *args)
            events.append(_as_json(self.job))
            if len(events) >= EVENTS_MAX:
                hurry.undo()

        patch.setattr(reporter.Reporter, "_set", collect)
        yield events


def _as_json(job: "Job") -> dict[str, Any]:
    from notifications.messages import encode_data

    event: dict[str, Any] = json.loads(encode_data(job.as_event()))
    return event


def _decode(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text  # sent raw
