"""The home page: what it takes, what it refuses and why, and what it leaves behind."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, RequestFactory

from notifications.jobs.models import Job, State
from project.analysis import tasks, uploads
from project.analysis.forms import NAME_MAX_LENGTH, clean_name
from project.analysis.tasks import analyse_file
from project.analysis.views import home
from project.celery import app
from project.uploads import BODY_REFUSED

pytestmark = pytest.mark.django_db(transaction=True)

JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def kept(settings, tmp_path):
    """The directory of uploads."""
    settings.MEDIA_ROOT = tmp_path / "uploads"
    settings.FILE_UPLOAD_TEMP_DIR = settings.MEDIA_ROOT / "incoming"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir(parents=True)
    return settings.MEDIA_ROOT


def files_in(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


@pytest.fixture
def user(live_redis):
    return User.objects.create(username="somebody")


@pytest.fixture
def visitor(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def eager():
    """Tasks run here, at once, as Celery's own eager mode does."""
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


def upload(visitor, content=b"two words\n", name="notes.txt", headers=None):
    return visitor.post("/", {"file": SimpleUploadedFile(name, content)}, headers=headers)


@pytest.mark.usefixtures("eager")
class TestAFileThatIsTaken:
    def test_leads_to_its_job(self, visitor, user):
        response = upload(visitor)
        job = Job.objects.get()
        assert (response.status_code, response.url) == (303, f"/jobs/{job.pk}/")
        assert (job.owner, job.title, job.state) == (user, "notes.txt", State.SUCCEEDED)

    def test_is_answered_with_the_address_for_a_script(self, visitor):
        response = upload(visitor, headers=JSON)
        assert response.status_code == 201
        assert response.json() == {"url": f"/jobs/{Job.objects.get().pk}/"}

    def test_has_a_result_that_holds_the_figures(self, visitor):
        upload(visitor, b"one two\nthree two\n")
        job = Job.objects.get()
        assert job.result.pop("seconds") >= 0
        assert job.result == {
            "name": "notes.txt",
            "size": 18,
            "sha256": hashlib.sha256(b"one two\nthree two\n").hexdigest(),
            "lines": 2,
            "words": 4,
            "longest_line": 9,
            "encoding": "us-ascii",
            "frequent_words": [["two", 2], ["one", 1], ["three", 1]],
            "frequent_words_exact": True,
        }
        assert (job.current, job.total, job.unit) == (18, 18, "B")
        assert job.result_template == "analysis/result.html"

    # In memory, and on disk, which is where Django keeps what is longer than 2.5 MB.
    @pytest.mark.parametrize("size", [0, 10, 3_000_000])
    def test_is_gone_when_its_job_has_ended(self, visitor, kept, size):
        assert upload(visitor, b"x" * size).status_code == 303
        assert Job.objects.get().result["size"] == size
        assert files_in(kept) == []

    def test_stays_for_another_attempt_when_its_job_has_failed(self, visitor, kept, monkeypatch):
        def broken(*args):
            assert len(files_in(kept)) == 1
            raise OSError(5, "Input/output error", str(kept))

        monkeypatch.setattr(tasks, "analyse", broken)
        upload(visitor)
        job = Job.objects.get()
        assert job.state == State.FAILED
        assert job.error.endswith("The uploaded file can't be read: Input/output error")
        assert job.can_retry
        [path] = files_in(kept)
        oldest = time.time() - uploads.KEEP_SECONDS
        os.utime(path, (oldest + 60, oldest + 60))
        assert tasks.discard_old_uploads() == 0
        os.utime(path, (oldest - 60, oldest - 60))
        assert tasks.discard_old_uploads() == 1
        assert files_in(kept) == []

    def test_is_named_without_path_and_control_characters(self, visitor):
        upload(visitor, name="../../etc/pass\x07wd\u202etxt.exe")
        assert Job.objects.get().title == "passwdtxt.exe"


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("notes.txt", "notes.txt"),
        ("../../etc/passwd", "passwd"),
        (r"C:\Users\me\notes.txt", "notes.txt"),
        ("a\0b\nc\td\x7f.txt", "abcd.txt"),
        ("\u202egpj.exe", "gpj.exe"),
        ("  so   many\u3000spaces ", "so many spaces"),
        ("größe 测试 😀.txt", "größe 测试 😀.txt"),
        ("x" * 500, "x" * NAME_MAX_LENGTH),
        ("", "Unnamed file"),
        ("a/", "Unnamed file"),
        ("\x01\x02", "Unnamed file"),
        (None, "Unnamed file"),
    ],
)
def test_a_name_is_cleaned(name, title):
    assert clean_name(name) == title


def refusal(response):
    """Return the status and the errors, which the page says to people."""
    return response.status_code, response.json()["errors"]["file"][0]["message"]


class TestAFileThatIsRefused:
    """Nothing listens at these settings' broker, so what should be refused can't slip through."""

    @pytest.mark.parametrize("form", [{}, {"file": "only text"}, {"other": "field"}])
    def test_no_file_is_said(self, visitor, form, kept):
        assert refusal(visitor.post("/", form, headers=JSON)) == (400, "Choose a file first.")
        page = visitor.post("/", form)
        assert page.status_code == 400
        assert "Choose a file first." in page.text
        assert not Job.objects.exists()
        assert files_in(kept) == []

    def test_a_file_over_the_limit_is_said_with_the_limit(self, visitor, settings, kept):
        settings.MAX_UPLOAD_BYTES = 1000
        status, text = refusal(upload(visitor, bytes(1001), headers=JSON))
        assert status == 413
        assert "1000\xa0bytes" in text
        page = upload(visitor, bytes(1001))
        assert page.status_code == 413
        assert "This file is too large" in page.text
        assert not Job.objects.exists()
        assert files_in(kept) == []

    @pytest.mark.usefixtures("eager")
    def test_a_file_of_just_the_limit_is_taken(self, visitor, settings):
        settings.MAX_UPLOAD_BYTES = 1000
        assert upload(visitor, bytes(1000)).status_code == 303

    @pytest.mark.parametrize("headers", [{}, JSON])
    def test_a_body_that_was_not_read_at_all_is_said_the_same_way(self, user, headers):
        request = RequestFactory().get("/", headers=headers)
        request.user = user
        request.scope = {BODY_REFUSED: True}
        response = home(request)
        assert response.status_code == 413
        assert "This file is too large" in response.text

    def test_a_broken_form_leaves_nothing(self, visitor, kept):
        body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        response = visitor.generic("POST", "/", body, "multipart/form-data; boundary=")
        assert response.status_code == 400
        assert not Job.objects.exists()
        assert files_in(kept) == []

    @pytest.mark.parametrize("size", [10, 3_000_000])
    def test_without_a_broker_the_page_says_so_within_seconds_and_keeps_nothing(
        self, visitor, kept, size
    ):
        started = time.monotonic()
        page = upload(visitor, bytes(size))
        assert time.monotonic() - started < 5
        assert page.status_code == 503
        assert "Try again in a moment" in page.text
        assert not Job.objects.exists()
        assert files_in(kept) == []

    def test_without_a_broker_a_script_is_told_too(self, visitor):
        response = upload(visitor, headers=JSON)
        assert response.status_code == 503
        assert "Try again" in json.dumps(response.json())

    def test_when_the_job_cannot_be_made_nothing_is_kept(self, visitor, kept, monkeypatch):
        def broken(*args, **kwargs):
            raise RuntimeError("the database is full")

        monkeypatch.setattr(analyse_file, "apply_async", broken)
        with pytest.raises(RuntimeError):
            upload(visitor)
        assert files_in(kept) == []

    def test_a_visitor_is_led_to_the_login(self, kept):
        response = upload(Client())
        assert (response.status_code, response.url) == (302, "/login/?next=/")
        assert files_in(kept) == []

    def test_a_form_without_a_token_is_refused(self, user, kept):
        client = Client(enforce_csrf_checks=True)
        client.force_login(user)
        assert upload(client).status_code == 403
        assert files_in(kept) == []


def test_the_page_shows_the_newest_five_of_ones_own_jobs(visitor, user):
    for number in range(7):
        Job.objects.create(owner=user, title=f"mine {number}", task="t")
    Job.objects.create(owner=User.objects.create(username="friend"), title="theirs", task="t")
    context = visitor.get("/").context
    assert [job.title for job in context["jobs"]] == [f"mine {n}" for n in (6, 5, 4, 3, 2)]


def test_the_page_renders_without_redis(visitor, settings, user):
    Job.objects.create(owner=user, title="running", task="t", state=State.RUNNING)
    settings.NOTIFICATIONS_REDIS_URL = "redis://127.0.0.1:9"
    page = visitor.get("/")
    assert page.status_code == 200
    assert "running" in page.text


def test_a_task_whose_file_is_gone_fails_without_telling_where_it_was(user, eager, kept):
    job = analyse_file.apply_async(["gone", "notes.txt"], owner=user).job
    job.refresh_from_db()
    assert job.state == State.FAILED
    assert job.error == "FileUnreadable: The uploaded file can't be read: No such file or directory"
