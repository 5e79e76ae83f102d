"""Logout and the like over HTTP, with two web processes."""

import asyncio

import pytest

from tests.support.streams import Stream


async def open_at_both(site, visitor) -> list[Stream]:
    streams = [Stream(f"{base}/events/", visitor.cookie_header) for base in site.base_urls]
    for stream in streams:
        await stream.open()
        await stream.wait_for_type("stream-open")
    return streams


async def all_end(streams, seconds=1.5) -> bool:
    try:
        async with asyncio.timeout(seconds):
            for stream in streams:
                await stream.ended.wait()
    except TimeoutError:
        return False
    finally:
        for stream in streams:
            await stream.close()
    return True


async def test_a_logout_ends_the_streams_in_both_processes(site):
    username = site.new_user()
    visitor, elsewhere = site.login(username), site.fresh_login(username)
    streams = await open_at_both(site, visitor)
    others = await open_at_both(site, elsewhere)
    response = await asyncio.to_thread(visitor.post, "/logout/")
    assert response.status == 302
    assert await all_end(streams)
    assert not any(stream.ended.is_set() for stream in others)
    await all_end(others, 0)
    refused = Stream(streams[0].url, visitor.cookie_header)
    await refused.open()
    assert refused.status == 401
    await refused.close()


@pytest.mark.parametrize(
    "change", ["user.is_active = False; user.save()", "user.set_password('x'); user.save()"]
)
async def test_a_change_in_another_process_ends_the_streams_in_both(site, change):
    username = site.new_user()
    streams = await open_at_both(site, site.login(username))
    code = f"""
from django.contrib.auth.models import User
user = User.objects.get(username={username!r})
{change}
"""
    await asyncio.to_thread(site.shell, code)
    assert await all_end(streams)
