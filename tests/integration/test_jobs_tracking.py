"""What a task says of itself, heard while it runs in a worker of each pool."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.endings.site import EndingsSite
from tests.support.waiting import wait_until

POOLS = ["solo", "threads", "prefork", "gevent"]

HEARD = """
import json
from notifications import storage
from django.contrib.auth.models import User
owner = User.objects.get(username={owner!r})
value = storage.latest_values(f"user-{{owner.pk}}").get("job-{pk}")
lines, page = [], storage.read("job-{pk}", 1)
while page.log:
    lines += [json.loads(message.data)["n"] for message in page.log]
    page = storage.read("job-{pk}", page.log[-1].id)
print("heard", json.dumps([value and json.loads(value.data), lines]))
"""


@pytest.fixture(scope="module")
def site(databases: Any) -> Iterator[EndingsSite]:
    site = EndingsSite(databases["sqlite"])
    try:
        yield site
    finally:
        site.close()


def heard(site: EndingsSite, pk: str) -> tuple[dict[str, Any] | None, list[int]]:
    output = site.shell(HEARD.format(owner=site.owner, pk=pk))
    line = next(line[6:] for line in output.splitlines() if line.startswith("heard "))
    progress, lines = json.loads(line)
    return progress, lines


@pytest.mark.parametrize("pool", POOLS)
def test_what_a_task_said_before_it_fell_silent_is_heard_while_it_is(
    site: EndingsSite, pool: str
) -> None:
    worker = site.start_worker_with(f"--pool={pool}", "--concurrency=1")
    try:
        pk = site.queue("fall_silent args=[6]")

        def all_is_heard() -> bool:
            progress, lines = heard(site, pk)
            return progress is not None and progress["current"] == 900 and 901 in lines

        # The latest value is gone once the job has ended.
        wait_until(all_is_heard, 20, lambda: f"{heard(site, pk)}\n{site.logs}")
        row = site.wait_for(pk, "succeeded")
    finally:
        worker.stop()
    assert (row["current"], row["total"], row["unit"]) == (1000, 1000, "rows")
    assert (row["log_lines"], len(row["log_tail"])) == (1000, 1000)
    assert row["steps"] == [{"title": "Working", "state": "done", "fraction": 1.0}]
    numbers = heard(site, pk)[1]
    assert numbers == sorted(set(numbers))
