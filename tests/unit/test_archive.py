"""An archive as one job: what of it is taken, what is refused, and what comes of its files."""

import io
import zipfile

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from notifications.jobs.models import Job, State
from project.archive import members
from project.archive.members import TooMuch, members_of
from project.celery import app

pytestmark = pytest.mark.django_db(transaction=True)


def archive(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return packed.getvalue()


class TestWhatIsInIt:
    def test_are_its_files_in_their_order_without_directories(self):
        content = archive({"b.txt": b"12", "dir/": b"", "dir/a.txt": b"123"})
        found = members_of(io.BytesIO(content))
        assert [(m.index, m.path, m.size) for m in found] == [
            *((0, "b.txt", 2), (2, "dir/a.txt", 3))
        ]

    @pytest.mark.parametrize("content", [b"", b"text", b"PK\x05\x06" + bytes(18), b"PK\x03\x04"])
    def test_is_nothing_where_it_is_no_archive_or_empty(self, content):
        file = io.BytesIO(content)
        assert members_of(file) == []
        assert file.read() == content  # it is still to be kept, from its beginning

    def test_is_nothing_where_its_list_is_damaged(self):
        content = bytearray(archive({"a": b"1"}))
        content[content.index(b"PK\x01\x02")] = 0
        assert members_of(io.BytesIO(bytes(content))) == []

    def test_may_not_be_too_many_files(self, monkeypatch):
        monkeypatch.setattr(members, "MEMBERS_MAX", 2)
        files = {str(n): b"" for n in range(3)}
        with pytest.raises(TooMuch, match=r"3 files\. The most is 2\."):
            members_of(io.BytesIO(archive(files)))

    def test_may_not_be_more_than_an_upload_once_it_is_unpacked(self, settings):
        settings.MAX_UPLOAD_BYTES = 1_000_000
        content = archive({str(n): bytes(400_000) for n in range(3)})
        assert len(content) < 10_000
        with pytest.raises(TooMuch, match="Unpacked"):
            members_of(io.BytesIO(content))


class TestTheJob:
    @pytest.fixture(autouse=True)
    def eager(self):
        app.conf.task_always_eager = True
        yield
        app.conf.task_always_eager = False

    @pytest.fixture(autouse=True)
    def kept(self, settings, tmp_path):
        settings.MEDIA_ROOT = tmp_path / "uploads"
        settings.FILE_UPLOAD_TEMP_DIR = settings.MEDIA_ROOT / "incoming"
        settings.FILE_UPLOAD_TEMP_DIR.mkdir(parents=True)
        return settings.MEDIA_ROOT

    @pytest.fixture
    def client(self, client, live_redis):
        client.force_login(User.objects.create(username="somebody"))
        return client

    def upload(self, client, content: bytes, **form: str) -> Job:
        file = SimpleUploadedFile("texts.zip", content)
        response = client.post("/", {"file": file, **form})
        assert response.status_code == 303
        return Job.objects.get(pk=response.url.split("/")[2])

    def test_has_a_part_for_each_file_and_one_that_sums_up(self, client, kept):
        files = {"a.txt": b"one two\n", "dir/b.txt": b"three\n", "empty": b""}
        job = self.upload(client, archive(files), unpack="on")
        assert (job.title, job.state, job.fraction) == ("texts.zip", State.SUCCEEDED, 1.0)
        assert (job.members_total, job.members_done, job.members_failed) == (4, 4, 0)
        parts = job.members.order_by("place")
        assert [part.title for part in parts] == ["a.txt", "b.txt", "empty", "Sum up"]
        result = job.result
        assert (result["size"], result["lines"], result["words"]) == (14, 2, 3)
        assert [file["name"] for file in result["files"]] == ["a.txt", "dir/b.txt", "empty"]
        assert [path for path in kept.rglob("*") if path.is_file()] == []
        page = client.get(job.get_absolute_url()).content.decode()
        assert "dir/b.txt" in page

    def test_is_that_of_the_file_itself_where_nobody_asks(self, client):
        job = self.upload(client, archive({"a.txt": b"one"}))
        assert not job.is_group
        assert job.result["encoding"] == "binary"

    def test_fails_where_a_file_of_it_does(self, client):
        content = bytearray(archive({"a.txt": b"one two three\n" * 100}))
        content[40] ^= 0xFF
        job = self.upload(client, bytes(content), unpack="on")
        assert job.state == State.FAILED
        assert job.members.get(title="a.txt").error.startswith("MemberUnreadable: It is damaged")

    def test_does_not_begin_with_too_many_files(self, client, monkeypatch, kept):
        monkeypatch.setattr(members, "MEMBERS_MAX", 2)
        file = SimpleUploadedFile("a.zip", archive({str(n): b"" for n in range(3)}))
        response = client.post("/", {"file": file, "unpack": "on"})
        assert response.status_code == 400
        assert "This archive has 3 files." in response.content.decode()
        assert not Job.objects.exists()
        assert [path for path in kept.rglob("*") if path.is_file()] == []
