"""Settings: what there is, what is checked, what is written down."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from notifications.checks import check_eventstream, check_jobs, check_settings
from notifications.conf import SETTINGS, conf
from notifications.jobs.checks import check_addresses, check_owner, check_templates
from tests.support.processes import ROOT, environment

DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "settings.md"


def ids(messages) -> list[str]:
    return [message.id for message in messages]


def test_the_sites_own_settings_pass():
    assert check_settings(None) == []
    assert check_eventstream(None) == []


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_checked_for_its_type(settings, name):
    setattr(settings, f"NOTIFICATIONS_{name}", object())
    [message] = check_settings(None)
    assert message.id in {"notifications.E001", "notifications.E002"}
    assert f"NOTIFICATIONS_{name} should be" in message.msg


@pytest.mark.parametrize("name", [name for name in SETTINGS if SETTINGS[name].minimum is not None])
def test_every_bound_is_checked(settings, name):
    low, high = SETTINGS[name].minimum, SETTINGS[name].maximum
    setattr(settings, f"NOTIFICATIONS_{name}", type(SETTINGS[name].default)(low) - 1)
    assert ids(check_settings(None)) == ["notifications.E003"]
    if high is not None:
        setattr(settings, f"NOTIFICATIONS_{name}", type(SETTINGS[name].default)(high) + 1)
        assert ids(check_settings(None)) == ["notifications.E003"]


@pytest.mark.parametrize("name", [name for name in SETTINGS if SETTINGS[name].minimum is not None])
def test_a_bound_itself_is_within(settings, name):
    for bound in (SETTINGS[name].minimum, SETTINGS[name].maximum):
        if bound is not None:
            setattr(settings, f"NOTIFICATIONS_{name}", bound)
            assert check_settings(None) == []


@pytest.mark.parametrize(
    ("name", "value", "id"),
    [
        ("PREFIX", "", "E001"),
        ("LOG_LENGTH", True, "E002"),
        ("LOG_LENGTH", 500.5, "E002"),
        ("SWEEP_SECONDS", True, "E002"),
        ("REMINDER_CATCH_UP", "some", "E003"),
    ],
)
def test_what_looks_like_a_value_and_is_none_is_refused(settings, name, value, id):
    setattr(settings, f"NOTIFICATIONS_{name}", value)
    assert ids(check_settings(None)) == [f"notifications.{id}"]


def test_a_fraction_of_a_second_is_a_time(settings):
    settings.NOTIFICATIONS_SWEEP_SECONDS = 1.5
    assert check_settings(None) == []


def test_a_misspelt_setting_is_noticed(settings):
    settings.NOTIFICATIONS_RETENTION = 5
    [message] = check_settings(None)
    assert message.id == "notifications.W001"
    assert "NOTIFICATIONS_RETENTION_SECONDS" in message.hint


def test_an_open_channel_manager_is_an_error(settings):
    del settings.EVENTSTREAM_CHANNELMANAGER_CLASS
    assert ids(check_eventstream(None)) == ["notifications.E004"]


def test_a_missing_storage_and_a_second_publisher_are_warnings(settings):
    del settings.EVENTSTREAM_STORAGE_CLASS
    settings.EVENTSTREAM_REDIS = {}
    assert ids(check_eventstream(None)) == ["notifications.W002", "notifications.W003"]


def test_settings_are_read_when_they_are_used(settings):
    assert conf.log_length == SETTINGS["LOG_LENGTH"].default
    settings.NOTIFICATIONS_LOG_LENGTH = 500
    assert conf.log_length == 500
    with pytest.raises(AttributeError):
        _ = conf.no_such_setting


def test_a_site_that_starts_is_told(tmp_path):
    """By the commands of its own, without a word of ours: the app registers the checks."""
    env = environment(VAR_DIR=str(tmp_path), NOTIFICATIONS_STREAMS_PER_USER="0", SECRET_KEY="x")
    command = [sys.executable, "manage.py", "check"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert "notifications.E003" in done.stderr


def test_the_documentation_has_a_row_for_each_setting_with_its_default():
    rows = dict(re.findall(r"^\| `NOTIFICATIONS_(\w+)` \| `(.+?)` \|", DOCS.read_text(), re.M))
    assert rows == {name: repr(setting.default) for name, setting in SETTINGS.items()}


def test_a_job_must_be_given_time_to_be_heard_of(settings):
    assert check_jobs(None) == []
    settings.NOTIFICATIONS_JOB_LOST_SECONDS = 20
    assert ids(check_jobs(None)) == ["notifications.W004"]


class TestASiteAroundJobs:
    """What is missing in it is said at start, and how to add it."""

    @pytest.fixture
    def base(self, settings, tmp_path):
        """Have templates of a directory instead of the site's own."""
        jobs = ROOT / "templates" / "jobs"
        (tmp_path / "jobs").symlink_to(jobs)
        [engine] = settings.TEMPLATES
        settings.TEMPLATES = [{**engine, "DIRS": [tmp_path]}]
        return tmp_path

    def test_that_has_everything_passes(self):
        assert check_owner(None) == check_addresses(None) == check_templates(None) == []

    def test_owners_come_from_a_middleware(self, settings):
        settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "CurrentUser" not in name]
        [message] = check_owner(None)
        assert message.id == "notifications.W005"
        assert "notifications.jobs.middleware.CurrentUser" in message.hint

    def test_the_stream_and_the_pages_need_addresses(self, settings):
        settings.ROOT_URLCONF = "notifications.urls"  # which has them under no namespace
        messages = check_addresses(None)
        assert ids(messages) == ["notifications.W006"] * 2
        assert 'include("notifications.jobs.urls")' in messages[1].hint

    def test_templates_need_the_request(self, settings):
        [engine] = settings.TEMPLATES
        settings.TEMPLATES = [{**engine, "OPTIONS": {}}]
        assert ids(check_templates(None)) == ["notifications.W007"]

    def test_the_pages_need_a_base(self, base):
        [message] = check_templates(None)
        assert message.id == "notifications.W008"
        assert "no template 'base.html'" in message.msg

    def test_the_base_needs_a_block_for_them(self, base):
        (base / "base.html").write_text("{% block body %}{% endblock %}")
        [message] = check_templates(None)
        assert message.id == "notifications.W008"
        assert "no block 'content'" in message.msg

    def test_the_block_may_come_from_further_up(self, base):
        (base / "base.html").write_text("{% extends 'frame.html' %}{% block body %}{% endblock %}")
        (base / "frame.html").write_text(
            "{% block body %}{% block content %}{% endblock %}{% endblock %}"
        )
        assert check_templates(None) == []

    def test_a_base_that_is_found_only_later_is_left_alone(self, base):
        (base / "base.html").write_text("{% extends name_of_frame %}")
        assert check_templates(None) == []
