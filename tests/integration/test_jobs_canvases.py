"""Groups, chords and chains under one job, with a real worker."""

import json
from collections.abc import Iterator
from datetime import datetime
from threading import Thread
from typing import Any

import pytest

from tests.support.endings.site import EndingsSite
from tests.support.waiting import wait_until


class Listener:
    """All that an account is told, as it is said."""

    def __init__(self, site: EndingsSite) -> None:
        code = (
            "from django.contrib.auth.models import User\n"
            f"print(User.objects.get(username={site.owner!r}).pk)"
        )
        channel = f"notifications:{{user-{site.shell(code)}}}"
        self.heard: list[dict[str, Any]] = []
        self._client = site.redis.client()
        self._pubsub = self._client.pubsub()
        self._pubsub.subscribe(channel)
        self._ended = False
        wait_until(lambda: self._pubsub.get_message(timeout=1))
        self._thread = Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._ended:
            message = self._pubsub.get_message(timeout=0.1)
            if message and message["type"] == "message":
                packed = message["data"]
                text = packed.decode() if isinstance(packed, bytes) else packed
                self.heard.append(json.loads(text.split("\n", 4)[4]))

    def of(self, pk: str) -> list[dict[str, Any]]:
        return [data for data in self.heard if data.get("id") == pk]

    def shown(self, pk: str) -> list[dict[str, Any]]:
        """What a page takes of that: none that is older than what it shows."""
        taken: list[dict[str, Any]] = []
        for data in self.of(pk):
            place = (data["version"], data["tick"])
            if not taken or place > (taken[-1]["version"], taken[-1]["tick"]):
                taken.append(data)
        return taken

    def close(self) -> None:
        self._ended = True
        self._thread.join()
        self._pubsub.close()
        self._client.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, databases: Any) -> Iterator[EndingsSite]:
    site = EndingsSite(databases[request.param], request.param)
    try:
        site.start_worker_with("--pool=prefork", "--concurrency=3")
        yield site
    finally:
        site.close()


@pytest.fixture
def listener(site: EndingsSite) -> Iterator[Listener]:
    listener = Listener(site)
    yield listener
    listener.close()


def test_a_chord_has_one_bar_that_never_goes_back(site: EndingsSite, listener: Listener) -> None:
    parts = "[part.s(n, pause=.1) for n in range(9)]"
    pk = site.start(f"start_group(chord({parts}, add.s()), owner=owner, title='Chord')")
    row = site.wait_for(pk, "succeeded")
    assert (row["result"], row["members_total"]) == (36, 10)
    assert (row["members_done"], row["members_failed"], row["fraction"]) == (10, 0, 1)
    wait_until(lambda: listener.of(pk)[-1]["state"] == "succeeded")
    heard = listener.shown(pk)
    bar = [data["fraction"] for data in heard if data["fraction"] is not None]
    assert bar == sorted(bar)
    assert len(set(bar)) > 5
    assert any(fraction * 10 % 1 > 0 for fraction in bar)  # it moves within the parts
    done = [data["members"]["done"] for data in heard]
    assert done == sorted(done)
    order = [(data["version"], data["tick"]) for data in heard if data["state"] == "running"]
    assert order == sorted(set(order))
    # Nothing is said of the members to who does not look at the group.
    assert {data["id"] for data in listener.heard} == {pk}


def test_the_members_say_start_and_end_on_the_channel_of_the_group(site: EndingsSite) -> None:
    pk = site.start("start_group(group([part.s(n) for n in range(3)]), owner=owner)")
    row = site.wait_for(pk, "succeeded")
    assert row["result"] is None
    code = (
        "from notifications import storage\n"
        f"for m in storage.read('job-{pk}', 1).log: print('said', m.type, m.data)"
    )
    said = [line.split(" ", 2) for line in site.shell(code).splitlines()]
    members = [json.loads(data) for _, type, data in said if type == "member"]
    assert sorted(data["state"] for data in members) == ["running"] * 3 + ["succeeded"] * 3
    assert {data["parent"] for data in members} == {pk}


def test_a_chain_ends_with_the_result_of_its_last_task(site: EndingsSite) -> None:
    pk = site.start("start_group(chain(part.s(4), double.s(), double.s()), owner=owner)")
    row = site.wait_for(pk, "succeeded")
    assert row["result"] == 16
    assert [member["result"] for member in site.members(pk)] == [4, 8, 16]


def test_a_chain_with_a_group_in_it_becomes_a_chord(site: EndingsSite) -> None:
    canvas = "chain(group([part.s(1), part.s(2)]), add.s(), double.s())"
    pk = site.start(f"start_group({canvas}, owner=owner)")
    row = site.wait_for(pk, "succeeded")
    assert row["result"] == 6
    assert [member["task"].rpartition(".")[2] for member in site.members(pk)] == [
        *("part", "part", "add", "double")
    ]


def test_what_follows_a_part_that_failed_is_cancelled(site: EndingsSite) -> None:
    parts = "[part.s(1), part.s(2, fails=True)]"
    pk = site.start(f"start_group(chord({parts}, add.s() | double.s()), owner=owner)")
    row = site.wait_for(pk, "failed")
    assert row["error"] == "1 part failed."
    assert [member["state"] for member in site.members(pk)] == [
        *("succeeded", "failed", "cancelled", "cancelled")
    ]


def test_branches_of_a_group_fail_each_for_itself(site: EndingsSite) -> None:
    branches = "[chain(part.s(1, fails=True), double.s()), chain(part.s(2), double.s())]"
    pk = site.start(f"start_group(group({branches}), owner=owner)")
    site.wait_for(pk, "failed")
    assert [member["state"] for member in site.members(pk)] == [
        *("failed", "cancelled", "succeeded", "succeeded")
    ]


def test_a_group_is_cancelled_with_all_its_members(site: EndingsSite, listener: Listener) -> None:
    parts = "[count.s().set(title=f'nr {n}') for n in range(8)]"
    pk = site.start(f"start_group(chord({parts}, add.s()), owner=owner)")
    wait_until(
        lambda: [m["state"] for m in site.members(pk)].count("running") == 3, 20, "3 that run"
    )
    assert site.act("cancel", pk) == "True"
    row = site.wait_for(pk, "cancelled", seconds=8)
    assert {member["state"] for member in site.members(pk)} == {"cancelled"}
    assert (row["members_done"], row["members_failed"]) == (0, 9)
    assert site.act("cancel", pk) == "False"
    bar = [data["fraction"] for data in listener.shown(pk) if data["state"] != "queued"]
    known = bar[bar.index(next(fraction for fraction in bar if fraction)) :]
    assert None not in known
    # Who cancels has read the bar a moment before; a page keeps the most that it has seen.
    assert known[-1] == max(known)


def test_many_members_cost_no_more_messages_than_a_few(
    site: EndingsSite, listener: Listener
) -> None:
    pk = site.start("start_group(group([part.s(n) for n in range(150)]), owner=owner)")
    row = site.wait_for(pk, "succeeded", seconds=120)
    assert row["members_done"] == 150
    wait_until(lambda: listener.of(pk)[-1]["state"] == "succeeded")
    bar = [data["fraction"] for data in listener.shown(pk) if data["fraction"] is not None]
    assert bar == sorted(bar)
    took = datetime.fromisoformat(row["finished"]) - datetime.fromisoformat(row["started"])
    assert len(listener.of(pk)) <= 10 * took.total_seconds() + 5
