"""Views of streams in threads: each request is answered, whatever comes together."""

import asyncio
import threading
import time

import pytest

from notifications.view_threads import ViewThreads

pytestmark = pytest.mark.asyncio


@pytest.fixture
def views_of():
    made = []

    def make(respond, initializer=lambda: None):
        made.append(ViewThreads(respond, initializer))
        return made[-1]

    yield make
    for views in made:
        views.close()


async def test_each_request_gets_its_own_answer(views_of):
    views = views_of(lambda number: number * 2)
    answers = await asyncio.gather(*(views.run(number) for number in range(1000)))
    assert answers == [number * 2 for number in range(1000)]


async def test_requests_that_come_one_by_one_are_answered_too(views_of):
    views = views_of(lambda number: number)
    for number in range(200):
        assert await asyncio.wait_for(views.run(number), 5) == number


async def test_what_a_view_raises_reaches_its_request_alone(views_of):
    def respond(number):
        if number == 1:
            raise LookupError(number)
        return number

    views = views_of(respond)
    answers = await asyncio.gather(*map(views.run, range(3)), return_exceptions=True)
    assert answers[0] == 0
    assert isinstance(answers[1], LookupError)
    assert answers[2] == 2


async def test_an_answer_does_not_wait_for_those_after_it(views_of, settings):
    settings.NOTIFICATIONS_VIEW_THREADS = 1
    views = views_of(lambda seconds: time.sleep(seconds))
    began = time.monotonic()
    first, last = views.run(0.02), views.run(1)
    await first
    assert time.monotonic() - began < 0.5
    await last


async def test_a_request_that_was_given_up_holds_up_nobody(views_of):
    go_on = threading.Event()
    views = views_of(lambda number: go_on.wait(5) and number)
    given_up, waiting = views.run(1), views.run(2)
    given_up.cancel()
    go_on.set()
    assert await waiting == 2


async def test_there_are_no_more_threads_than_the_setting_says(views_of, settings):
    settings.NOTIFICATIONS_VIEW_THREADS = 3
    names = []
    views = views_of(lambda _: time.sleep(0.005), lambda: names.append(threading.get_ident()))
    await asyncio.gather(*map(views.run, range(50)))
    assert len(names) == 3
