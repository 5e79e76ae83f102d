"""`project.settings` reads the environment once, so each test reads it in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT, environment

SHOW = """
import json, project.settings as s
print(json.dumps({name: getattr(s, name) for name in dir(s) if name.isupper()}, default=str))
"""


def read_settings(tmp_path: Path, **variables: str) -> dict[str, Any]:
    env = environment(**{"VAR_DIR": str(tmp_path / "var"), **variables})
    command = [sys.executable, "-c", SHOW]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_by_default_everything_lies_in_the_var_directory(tmp_path: Path) -> None:
    var = tmp_path / "var"
    settings = read_settings(tmp_path)
    assert (
        settings["REDIS_URL"] == settings["NOTIFICATIONS_REDIS_URL"] == f"unix://{var}/redis.sock"
    )
    assert settings["CELERY_BROKER_URL"] == f"redis+socket://{var}/redis.sock?virtual_host=0"
    assert settings["DATABASES"]["default"]["NAME"] == f"{var}/db.sqlite3"
    assert (var / "uploads" / "incoming").is_dir()
    assert var.stat().st_mode & 0o077 == 0
    assert not settings["DEBUG"]
    assert not settings["DEMO"]


def test_sqlite_waits_for_its_lock_and_takes_it_at_the_begin(tmp_path: Path) -> None:
    for url in ("", f"sqlite:///{tmp_path}/other.db"):
        options = read_settings(tmp_path, DATABASE_URL=url)["DATABASES"]["default"]["OPTIONS"]
        assert options["transaction_mode"] == "IMMEDIATE"
        assert options["timeout"] >= 5
        assert "journal_mode=WAL" in options["init_command"]


def test_a_database_url_names_postgresql(tmp_path: Path) -> None:
    url = "postgresql://carillon:pw@db.example.org:5433/live"
    database = read_settings(tmp_path, DATABASE_URL=url)["DATABASES"]["default"]
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["NAME"], database["HOST"], database["PORT"]) == (
        "live",
        "db.example.org",
        5433,
    )


def test_one_redis_url_serves_messages_and_tasks(tmp_path: Path) -> None:
    settings = read_settings(tmp_path, REDIS_URL="redis://redis.example.org:6380/4")
    for name in ("REDIS_URL", "NOTIFICATIONS_REDIS_URL", "CELERY_BROKER_URL"):
        assert settings[name] == "redis://redis.example.org:6380/4"


@pytest.mark.parametrize(("text", "value"), [("7", 7), ("0.5", 0.5), ("soon", "soon")])
def test_a_setting_of_the_package_comes_from_the_environment(
    tmp_path: Path, text: str, value: object
) -> None:
    settings = read_settings(tmp_path, NOTIFICATIONS_REDIS_TIMEOUT_SECONDS=text)
    assert settings["NOTIFICATIONS_REDIS_TIMEOUT_SECONDS"] == value


def test_a_setting_that_is_no_number_is_told_by_the_checks(tmp_path: Path) -> None:
    env = environment(VAR_DIR=str(tmp_path / "var"), NOTIFICATIONS_REDIS_TIMEOUT_SECONDS="soon")
    command = [sys.executable, "manage.py", "check"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "NOTIFICATIONS_REDIS_TIMEOUT_SECONDS" in done.stderr


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("true", True), ("0", False), ("", False)]
)
def test_switches(tmp_path: Path, text: str, value: bool) -> None:
    settings = read_settings(tmp_path, DEMO=text, DEBUG=text)
    assert settings["DEMO"] is value
    assert settings["DEBUG"] is value


def test_lists_and_numbers(tmp_path: Path) -> None:
    settings = read_settings(
        tmp_path, ALLOWED_HOSTS="a.example, b.example", MAX_UPLOAD_BYTES="1000"
    )
    assert settings["ALLOWED_HOSTS"] == ["a.example", "b.example"]
    assert settings["MAX_UPLOAD_BYTES"] == 1000


def test_scripts_and_styles_come_from_the_site_alone(tmp_path: Path) -> None:
    policy = read_settings(tmp_path)["CONTENT_SECURITY_POLICY"]["DIRECTIVES"]
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == ["'self'"]
    assert "unsafe" not in str(policy)
