"""
A reminder's whole way, over HTTP: written in the admin, seen on an open page, listed, read.
"""

import asyncio
import json
import re
import time

from tests.support.site import Site
from tests.support.streams import Stream
from tests.support.visitor import Response, Visitor

ADD = "/admin/reminders/reminder/add/"

# One transaction has delivered and not yet committed when another delivers the same reminder; then
# four mark it read at the same moment. Each thread has a connection of its own.
SEVERAL_AT_ONCE = """
import json
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Barrier

from django.contrib.auth.models import User
from django.db import connection, transaction

from notifications.reminders import deliver, mark_read
from notifications.reminders.models import Reminder

user = User.objects.get(username="{username}")
reminder = Reminder.objects.create(title="At once")
barrier = Barrier(4)

def closing(action, *arguments):
    try:
        return len(action(*arguments))
    finally:
        connection.close()

def mark_together():
    connection.ensure_connection()
    barrier.wait()
    return closing(mark_read, user)

with ThreadPoolExecutor(4) as pool:
    with transaction.atomic():
        first = len(deliver(reminder, [user]))
        second = pool.submit(closing, deliver, reminder, [user])
        # Time enough to reach what the first holds. It must still be waiting there.
        waits = not wait([second], timeout=0.5).done
    delivered = [first, second.result()]
    marks = [pool.submit(mark_together) for _ in range(4)]
    read = sorted(mark.result() for mark in marks)
deliver(Reminder.objects.create(title="Afterwards"), [user])
print(json.dumps([waits, delivered, read]))
"""


def user_pk(admin: Visitor, username: str) -> str:
    """Find a user as the form's field of users does."""
    query = f"app_label=reminders&model_name=reminder&field_name=users&term={username}"
    found = admin.get(f"/admin/autocomplete/?{query}").json()["results"]
    [pk] = [result["id"] for result in found if result["text"] == username]
    return pk


async def write(admin: Visitor, title: str, username: str, **values: str) -> Response:
    pk = await asyncio.to_thread(user_pk, admin, username)
    form = {"title": title, "text": "Log out\r\nby 22:00.", "level": "warning", "link": "/jobs/"}
    form |= {"users": pk, "when": "now", "_send": "1"}
    return await asyncio.to_thread(admin.post, ADD, form | values)


def stream_of(site: Site, visitor: Visitor) -> Stream:
    return Stream(f"{site.base_urls[-1]}/events/", visitor.cookie_header)


def state_in_list(visitor: Visitor, pk: int) -> str | None:
    """Return "read" or "unread", as the list of reminders shows it; None if it isn't there."""
    html = visitor.get("/reminders/").text
    found = re.search(rf'id="reminder-{pk}"[^>]*data-state="(\w+)"', html)
    return found[1] if found else None


async def test_a_reminder_saved_in_the_admin_is_on_open_pages_within_a_second(site: Site):
    admin = site.login("admin")
    name, other_name = site.new_user(), site.new_user()
    recipient, other = site.login(name), site.login(other_name)
    async with stream_of(site, recipient) as stream, stream_of(site, other) as other_stream:
        await stream.wait_for_type("stream-open")
        await other_stream.wait_for_type("stream-open")

        before = time.monotonic()
        response = await write(admin, "Backup", name)
        assert response.status == 302, response.text
        event = await stream.wait_for_type("reminder")
        assert event.at - before < 1
        data = event.json
        pk, sent = data.pop("id"), data.pop("sent")
        assert data == {
            "title": "Backup",
            "text": "Log out\nby 22:00.",
            "level": "warning",
            "link": "/jobs/",
            "expires": None,
            "acknowledge": False,
        }
        assert sent.endswith("Z")
        assert event.id, "a reminder must survive a broken connection"

        assert await asyncio.to_thread(state_in_list, recipient, pk) == "unread"
        assert await asyncio.to_thread(state_in_list, other, pk) is None

        # Somebody else's word on it changes nothing.
        await asyncio.to_thread(other.post, "/reminders/read/", {"id": str(pk)})
        assert await asyncio.to_thread(state_in_list, recipient, pk) == "unread"

        response = await asyncio.to_thread(recipient.post, "/reminders/read/", {"id": str(pk)})
        assert (response.status, response.location) == (302, "/reminders/")
        assert (await stream.wait_for_type("reminder-state")).json == {
            "ids": [pk],
            "state": "read",
        }
        assert await asyncio.to_thread(state_in_list, recipient, pk) == "read"

        # What comes to the other now comes after whatever could have come before.
        await write(admin, "For the other", other_name)
        await other_stream.wait_for_type("reminder")
        assert [event.json["title"] for event in other_stream.of_type("reminder")] == [
            "For the other"
        ]
        assert not other_stream.of_type("reminder-state")
        assert len(stream.of_type("reminder")) == 1


async def test_a_reminder_sent_while_the_page_was_away_is_there_when_it_comes_back(site: Site):
    admin, name = site.login("admin"), site.new_user()
    recipient = site.login(name)
    async with stream_of(site, recipient) as stream:
        await stream.wait_for_type("stream-open")
        await stream.close()
        await write(admin, "Missed", name)
        await stream.reopen()
        assert (await stream.wait_for_type("reminder")).json["title"] == "Missed"


async def test_a_refused_form_sends_nothing(site: Site):
    admin, name = site.login("admin"), site.new_user()
    recipient = site.login(name)
    async with stream_of(site, recipient) as stream:
        await stream.wait_for_type("stream-open")
        refused = await write(admin, "Refused", name, link="javascript:alert(1)")
        assert refused.status == 200
        assert "a path of this site that begins with a single slash" in refused.text
        await write(admin, "Sent", name)
        await stream.wait_for_type("reminder")
        assert [event.json["title"] for event in stream.of_type("reminder")] == ["Sent"]


async def test_several_at_once_deliver_and_read_each_reminder_once(site: Site):
    name = site.new_user()
    async with stream_of(site, site.login(name)) as stream:
        await stream.wait_for_type("stream-open")
        output = await asyncio.to_thread(site.shell, SEVERAL_AT_ONCE.format(username=name))
        waits, delivered, read = json.loads(output.splitlines()[-1])
        assert waits
        assert delivered == [1, 0]
        assert read == [0, 0, 0, 1]
        await stream.wait_for_type("reminder", count=2)
        types = [event.type for event in stream.events if event.type.startswith("reminder")]
        assert types == ["reminder", "reminder-state", "reminder"]
