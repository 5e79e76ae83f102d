"""
docs/jobs.md, and what docs/reminders.md adds, followed as they stand.

Each block goes to its file, in a new site of its own.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from django.core.management import call_command

from tests.support.processes import ROOT, environment
from tests.support.redis import RedisServer

STEPS: Final = (
    (ROOT / "docs" / "jobs.md").read_text().partition("## Ten steps")[2].partition("\n## ")[0]
)
REMINDERS: Final = (
    (ROOT / "docs" / "reminders.md").read_text().partition("**Into your own site.**")[2]
).partition("**From code**")[0]
BLOCK: Final = re.compile(r"```(?:python|django)\n(?:# |{# )(\S+).*?\n(.*?)```", re.DOTALL)

# What a site has that somebody comes with.
SITE: Final = """
INSTALLED_APPS += ["contacts"]
TEMPLATES[0]["DIRS"] = [BASE_DIR / "templates"]
LOGIN_URL = "/admin/login/"
ALLOWED_HOSTS = ["testserver"]
"""
BASE: Final = "<title>{% block title %}{% endblock %}</title>{% block content %}{% endblock %}"

VISIT: Final = """
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from shop.asgi import application

call_command("check", fail_level="WARNING")
call_command("migrate", verbosity=0)
ada, client = User.objects.create_user("ada"), Client()
client.force_login(ada)
sent = client.post("/contacts/", {"text": "ada@example.org"})
job = ada.jobs.get()
print(type(application).__name__, sent.status_code, job.title, job.state, job.current, job.total)
for path in ("/contacts/", "/jobs/", job.get_absolute_url()):
    page = client.get(path).content.decode()
    print(path, page.count("<job-progress"), page.count("data-stream-url"), page.count("<script"))
"""

REMIND: Final = """
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from notifications.reminders import remind

call_command("check", fail_level="WARNING")
call_command("migrate", verbosity=0)
ada, client = User.objects.create_superuser("ada"), Client()
client.force_login(ada)
pk = remind(ada, "Backup", acknowledge=True).pk
for path in ("/contacts/", "/reminders/", "/reminders/settings/"):
    page = client.get(path).content.decode()
    print(path, page.count("<unread-badge"), page.count("<reminder-toasts"), page.count("<script"))
for path in ("add/", f"{pk}/change/"):
    print(path, client.get(f"/admin/reminders/reminder/{path}").status_code)
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    call_command("startproject", "shop", tmp_path)
    with (tmp_path / "shop" / "settings.py").open("a") as file:
        file.write(SITE)
    (tmp_path / "contacts").mkdir()
    (tmp_path / "contacts" / "__init__.py").touch()
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "base.html").write_text(BASE)
    (templates / "admin").mkdir()
    for name in (
        "jobs",
        "notifications",
        "reminders",
        "admin/reminders",
    ):  # which the wheel has in the package
        (templates / name).symlink_to(ROOT / "templates" / name)
    return tmp_path


def test_its_steps_lead_to_a_live_bar(shop: Path, live_redis: RedisServer):
    checked, job, *pages = follow(shop, STEPS, VISIT, live_redis)
    assert checked == "System check identified no issues (0 silenced)."
    assert job == "EventStreams 302 Contacts succeeded 1 1"
    # Of each page: one bar, one stream, one script.
    assert [page.split()[1:] for page in pages] == [["1", "1", "1"]] * 3


def test_reminders_come_into_a_site_that_has_jobs(shop: Path, live_redis: RedisServer):
    checked, *pages = follow(shop, STEPS + REMINDERS, REMIND, live_redis)
    assert checked == "System check identified no issues (0 silenced)."
    assert [page.split()[1:] for page in pages] == [["1", "1", "1"]] * 3 + [["200"]] * 2


def follow(shop: Path, text: str, then: str, redis: RedisServer) -> list[str]:
    """Put each block of ``text`` into its file, and return what ``then`` prints in the site."""
    for name, code in BLOCK.findall(text):
        path = shop / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(f"\n{code}")
    with (shop / "shop" / "settings.py").open("a") as file:
        file.write(f"NOTIFICATIONS_REDIS_URL = {redis.url!r}\nCELERY_TASK_ALWAYS_EAGER = True\n")

    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", then],
        cwd=shop,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
