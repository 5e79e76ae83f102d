"""The page of one job: its log, its steps and parts, stopping it, and how its end is told."""

import io
import re
import zipfile

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import OpenWindow, is_same, mark, upload, wait_for_connection
from tests.support.site import Site
from tests.support.waiting import wait_until

MAKE = """
from django.contrib.auth.models import User
from django.utils import timezone
from notifications.jobs.models import Job
job = Job.objects.create(owner=User.objects.get(username="{username}"), task="t", version=2,
    started=timezone.now(), **{fields!r})
print(job.pk)
"""

# Says what a worker would say, through the same Redis.
LOG = """
from notifications.messages import Draft
from notifications.publishing import publish_many
at = "2031-05-04T10:20:30.{{:03}}Z".format
publish_many(
    Draft("job-{job}", "job-log", {{"n": n, "at": at(n if {last} < 1000 else 0),
        "level": "info" if n % 7 else "warning", "text": f"Line {{n}}"}})
    for n in range({first}, {last} + 1)
)
"""

TICK = """
from notifications.jobs.models import Job
from notifications.publishing import publish
job = Job.objects.get(pk="{job}")
data = {{**job.as_event(), "tick": {tick}, **{changes!r}}}
publish(f"user-{{job.owner_id}}", "job", data, key=job.key)
"""

CHANGE = """
from notifications.jobs.models import Job
from notifications.publishing import publish
Job.objects.filter(pk="{job}").update(state="{state}", version={n}, attempts={n})
job = Job.objects.get(pk="{job}")
publish(f"user-{{job.owner_id}}", "job", job.as_event())
"""

END = """
from django.utils import timezone
from notifications.jobs.models import Job
from notifications.publishing import publish
job = Job.objects.get(pk="{job}")
Job.objects.filter(pk=job.pk).update(state="{state}", version=3, finished=timezone.now())
job.refresh_from_db()
publish(f"user-{{job.owner_id}}", "job", job.as_event(), clear=job.key)
"""


SAVE_END = """
from django.utils import timezone
from notifications.jobs.models import Job
Job.objects.filter(pk="{job}").update(state="succeeded", version=3, finished=timezone.now())
"""


def make_job(site: Site, username: str, **fields: object) -> str:
    fields = {"title": "Contacts", "state": "running", **fields}
    return site.shell(MAKE.format(username=username, fields=fields))


def archive(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return packed.getvalue()


def choose(page: Page, name: str, content: bytes) -> None:
    file = {"name": name, "mimeType": "application/zip", "buffer": content}
    page.get_by_label("Drop a file here, or choose one").set_input_files(file)  # type: ignore[arg-type]
    page.get_by_role("button", name="Analyse").click()
    page.wait_for_url(re.compile("/jobs/.+"), wait_until="commit")


def hero(page: Page):
    return page.locator(".job-hero")


ITS_END_IS_SEEN = """log => {
  const box = log.querySelector("[role=log]").getBoundingClientRect();
  const last = log.querySelector("li:last-child").getBoundingClientRect();
  return last.top >= box.top && last.bottom <= box.bottom;
}"""


class TestTheLog:
    def test_comes_line_by_line_and_stays_after_a_reload(self, site: Site, open_window: OpenWindow):
        username = site.new_user()
        job = make_job(site, username)
        site.shell(LOG.format(job=job, first=1, last=2))
        page = open_window(site.login(username)).live_tab(f"/jobs/{job}/")
        lines = page.get_by_role("log").locator("li")
        expect(lines).to_have_count(2)
        mark(page)
        site.shell(LOG.format(job=job, first=3, last=20))
        expect(lines).to_have_count(20)
        expect(lines.locator("span")).to_have_text([f"Line {n}" for n in range(1, 21)])
        expect(lines.nth(6)).to_have_attribute("data-level", "warning")
        assert is_same(page)
        page.reload()
        wait_for_connection(page, "live")
        expect(lines.locator("span")).to_have_text([f"Line {n}" for n in range(1, 21)])

    def test_of_ten_thousand_lines_keeps_the_last_and_says_so(
        self, site: Site, open_window: OpenWindow
    ):
        username = site.new_user()
        job = make_job(site, username)
        page = open_window(site.login(username)).live_tab(f"/jobs/{job}/")
        log = page.locator("job-log")
        expect(log).to_be_hidden()
        site.shell(LOG.format(job=job, first=1, last=10_000))
        expect(log.locator("li").last).to_contain_text("Line 10000", timeout=20_000)
        expect(log.locator("li")).to_have_count(1000)
        expect(log).to_contain_text("the last 1,000 of 10,000 lines")
        assert log.evaluate(ITS_END_IS_SEEN)

    def test_is_opened_for_this_page_alone(self, site: Site, open_window: OpenWindow):
        username = site.new_user()
        job = make_job(site, username)
        with open_window(site.login(username)).live_tab("/jobs/") as page:
            with page.expect_request("**/events/?**") as asked:
                page.goto(f"/jobs/{job}/")
            assert f"channel=job-{job}" in asked.value.url
            with page.expect_request("**/events/?**") as asked:
                page.goto("/jobs/")
            assert "job-" not in asked.value.url

    def test_of_somebody_else_is_refused(self, site: Site):
        job = make_job(site, site.new_user())
        assert site.login().get(f"/events/?channel=job-{job}").status == 403


def test_steps_and_the_bar_move(site: Site, open_window: OpenWindow):
    username = site.new_user()
    job = make_job(site, username)
    page = open_window(site.login(username)).live_tab(f"/jobs/{job}/")
    bar = hero(page).get_by_role("progressbar")
    expect(bar).not_to_have_attribute("value", re.compile("."))
    steps = [
        {"title": "Read <all>", "state": "done", "fraction": 1},
        {"title": "Save", "state": "running", "fraction": 0.25},
        {"title": "Tell", "state": "waiting", "fraction": None},
    ]
    changes = {"fraction": 0.4242, "steps": steps, "current": 7, "unit": "rows"}
    site.shell(TICK.format(job=job, tick=1, changes=changes))
    expect(page.locator(".job-steps li")).to_have_text(["Read <all>", "Save 25%", "Tell"])
    expect(page.locator(".job-steps [aria-current=step]")).to_have_text("Save 25%")
    expect(hero(page).locator(".percent")).to_have_text("42%")
    expect(hero(page)).to_contain_text("7\N{NO-BREAK SPACE}rows")
    assert bar.evaluate("bar => bar.value") == pytest.approx(0.4242)
    changes = {"fraction": None, "steps": steps, "current": 8}
    site.shell(TICK.format(job=job, tick=2, changes=changes))
    expect(hero(page).locator(".percent")).to_have_text("")
    expect(bar).not_to_have_attribute("value", re.compile("."))


PLACES = """() => ["percent", "message", "amount", "rate", "left"].map(name => {
  const part = document.querySelector(`.job-hero [data-part=${name}]`);
  const { x, y, right } = part.getBoundingClientRect();
  const fromItsEnd = name === "rate" || name === "left" || (name === "amount" && innerWidth > 800);
  return [Math.round(fromItsEnd ? right : x), Math.round(y)];
})"""


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_moves_aside_for_one_more_digit(site: Site, open_window: OpenWindow, width: int):
    username = site.new_user()
    job = make_job(site, username)
    window = open_window(site.login(username), viewport={"width": width, "height": 800})
    page = window.live_tab(f"/jobs/{job}/")
    places = []
    ticks = ((9, 9.0, 9, 0.09), (10, 10.0, 9.4, 0.1), (99, 100.0, 45, 0.99), (100, 99.0, 5, 1.0))
    for n, (current, rate, eta, fraction) in enumerate(ticks, 1):
        changes = {"current": current, "total": 100, "unit": "rows", "message": "Importing"}
        changes |= {"rate": rate, "eta": eta, "fraction": fraction}
        site.shell(TICK.format(job=job, tick=n, changes=changes))
        expect(hero(page).locator("[data-part=amount]")).to_contain_text(f"{current} of 100")
        places.append(page.evaluate(PLACES))
    assert places == [places[0]] * len(ticks)


def test_nothing_is_said_aloud_at_each_tick(site: Site, open_window: OpenWindow):
    username = site.new_user()
    job = make_job(site, username, total=100, current=1)
    page = open_window(site.login(username)).live_tab(f"/jobs/{job}/")
    site.shell(TICK.format(job=job, tick=1, changes={"current": 50, "total": 100}))
    bar = hero(page).get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuetext", "50 of 100")
    expect(page.locator("#announcer")).to_have_text("")
    assert page.locator("main [aria-live]:not([aria-live=off])").count() == 0


def test_the_focus_stays_where_a_new_state_renders_all_anew(site: Site, open_window: OpenWindow):
    username = site.new_user()
    job = make_job(site, username, state="queued", members_total=1, members_failed=1)
    page = open_window(site.login(username)).live_tab(f"/jobs/{job}/")
    mark(page)
    cancel = page.get_by_role("button", name="Cancel")
    wait_for_new_state(site, page, job, "running", 3)
    for state, attempts, focus in (
        ("retrying", 4, cancel),
        ("running", 5, page.locator("#members summary")),
    ):
        focus.focus()
        wait_for_new_state(site, page, job, state, attempts)
        expect(focus).to_be_focused()
    # What had it is gone: it is on the content, not at the beginning of the page.
    cancel.focus()
    wait_for_new_state(site, page, job, "cancelled", 6)
    expect(cancel).to_have_count(0)
    expect(page.locator("main")).to_be_focused()
    assert is_same(page)


def wait_for_new_state(site: Site, page: Page, job: str, state: str, attempts: int) -> None:
    hero(page).evaluate("element => { element.dataset.old = '1'; }")
    site.shell(CHANGE.format(job=job, state=state, n=attempts))
    expect(hero(page)).not_to_have_attribute("data-old", "1")
    expect(hero(page)).to_have_attribute("data-state", state)


class TestAnArchive:
    def test_is_one_job_whose_parts_unfold(self, site: Site, open_window: OpenWindow):
        page = open_window(site.login()).live_tab()
        files = {f"{n}.txt": b"one two\n" * (n + 1) for n in range(8)}
        choose(page, "texts.zip", archive(**files))
        mark(page)
        parts = page.locator("#members")
        expect(parts.locator("job-progress").first).to_be_hidden()
        parts.locator("summary").click()
        expect(hero(page)).to_have_attribute("data-state", "succeeded", timeout=30_000)
        expect(page.get_by_role("heading", name="Result")).to_be_visible()
        assert is_same(page)
        # Still unfolded, though all around it was rendered anew.
        expect(parts.locator("job-progress[data-state=succeeded]")).to_have_count(9)
        expect(parts.get_by_role("link", name="3.txt")).to_be_visible()
        expect(parts.locator("summary")).to_contain_text("9 of 9 parts")
        facts = page.locator(".facts dd")
        expect(facts).to_have_text(["8", re.compile("288"), "36", "72"])
        parts.get_by_role("link", name="3.txt").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("3.txt")
        page.get_by_role("link", name="texts.zip").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("texts.zip")

    def test_counts_what_fails(self, site: Site, open_window: OpenWindow):
        page = open_window(site.login()).live_tab()
        content = archive(good=b"one two\n" * 1000, bad=b"three four\n" * 1000)
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            bad = file.getinfo("bad").header_offset
        damaged = bytearray(content)
        damaged[bad + 40] ^= 0xFF
        choose(page, "damaged.zip", bytes(damaged))
        expect(hero(page)).to_have_attribute("data-state", "failed", timeout=30_000)
        expect(hero(page)).to_contain_text("1 part failed")
        page.locator("#members summary").click()
        expect(page.locator("#members [data-state=failed]")).to_contain_text("It is damaged")

    def test_may_be_taken_as_the_file_it_is(self, site: Site, open_window: OpenWindow):
        page = open_window(site.login()).live_tab()
        page.get_by_label("Look into each file of a zip archive").uncheck()
        choose(page, "texts.zip", archive(**{"1.txt": b"one"}))
        expect(hero(page)).to_have_attribute("data-state", "succeeded")
        expect(page.locator("#members")).to_have_count(0)
        expect(page.locator(".facts")).to_contain_text("binary")


# What can be tapped, and is not 44 by 44 pixels with all around it that leads to it.
TOO_SMALL = """() => [...document.querySelectorAll("a, button, select, summary, input")]
  .map((one) => one.closest("label") ?? one)
  .filter((one) => one.checkVisibility() && one.type !== "hidden" && !one.matches(".skip"))
  .filter((one) => {
    one.scrollIntoView({ block: "center" });
    const { x, y, width, height } = one.getBoundingClientRect();
    const [right, down] = [x + Math.min(width / 2, 22), y + height / 2];
    const hits = [-21, 21].map((dy) => document.elementFromPoint(right, down + dy));
    return (width < 44 && !one.closest(".job-line")) || !hits.every((hit) => one.contains(hit));
  }).map((one) => one.outerHTML.slice(0, 90))"""


class TestAPhone:
    """As narrow as phones are, and operated with a finger."""

    @pytest.fixture
    def page(self, site: Site, open_window: OpenWindow):
        username = site.new_user()
        job = make_job(site, username, total=100, members_total=30, members_failed=1)
        make_job(site, username, title="Letters", state="failed", result=[1])
        for n in range(30):
            make_job(site, username, title=f"Part {n}", parent_id=job, state="failed")
        phone = {"viewport": {"width": 360, "height": 740}}
        return open_window(site.login(username), **phone).live_tab(f"/jobs/{job}/?page=1")

    def test_has_room_for_a_finger(self, page: Page):
        for path in (page.url, "/jobs/?q=zzz", "/jobs/", "/"):
            page.goto(path)
            assert page.evaluate(TOO_SMALL) == [], path

    def test_opens_a_job_by_all_of_its_line(self, page: Page):
        page.goto("/jobs/?q=letters")
        page.locator(".job-row .state").click(force=True)
        expect(page.get_by_role("heading", level=1)).to_have_text("Letters")


class TestStopping:
    def test_a_waiting_job(self, make_site, open_window: OpenWindow):
        site = make_site(webs=1)
        visitor = site.login()
        path = upload(visitor, "waiting.txt", b"one two\n")
        window = open_window(visitor)
        page = window.live_tab(path)
        watching = window.live_tab("/jobs/")
        page.get_by_role("button", name="Cancel").click()
        expect(hero(page)).to_have_attribute("data-state", "cancelled")
        expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
        expect(watching.locator(".job-row")).to_have_attribute("data-state", "cancelled")
        expect(watching.locator(".job-row .state")).to_have_text("Cancelled")

    def test_a_running_archive(self, site: Site, open_window: OpenWindow):
        page = open_window(site.login()).live_tab()
        files = {f"{n}.txt": b"one two three\n" * 300_000 for n in range(60)}
        choose(page, "long.zip", archive(**files))
        expect(hero(page)).to_have_attribute("data-state", "running")
        page.get_by_role("button", name="Cancel").click()
        expect(hero(page)).to_have_attribute("data-state", "cancelled", timeout=20_000)

    def test_a_job_without_javascript(self, site: Site, open_window: OpenWindow):
        username = site.new_user()
        job = make_job(site, username, state="queued")
        window = open_window(site.login(username), java_script_enabled=False)
        page = window.tab(f"/jobs/{job}/")
        expect(page.get_by_role("button", name="Tell me when it ends")).to_be_hidden()
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator(".state")).to_have_text("Cancelled")
        expect(page.get_by_role("button", name="Cancel")).to_have_count(0)

    def test_a_job_and_trying_again(self, make_site, open_window: OpenWindow):
        site = make_site(webs=1)
        visitor = site.login()
        page = open_window(visitor).live_tab(upload(visitor, "again.txt", b"one two\n"))
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Try again").click()
        expect(hero(page)).to_have_attribute("data-state", re.compile("queued|running"))
        site.start_worker()
        expect(hero(page)).to_have_attribute("data-state", "succeeded", timeout=20_000)
        expect(page.get_by_role("heading", name="Result")).to_be_visible()


RECORD_NOTIFICATIONS = """
window.told = [];
window.Notification = class extends Notification {
  constructor(title, options) {
    super(title, options);
    window.told.push([title, options.body, options.tag]);
  }
};
Object.defineProperty(document, "hidden", { get: () => Boolean(window.away) });
"""


class TestTheEnd:
    def test_is_in_the_title_of_its_page(self, site: Site, open_window: OpenWindow):
        username = site.new_user()
        job = make_job(site, username)
        page = open_window(site.login(username)).live_tab(f"/jobs/{job}/")
        expect(page).to_have_title("Contacts · Carillon")
        site.shell(END.format(job=job, state="failed"))
        expect(page).to_have_title("Failed: Contacts · Carillon")
        page.reload()
        expect(page).to_have_title("Failed: Contacts · Carillon")

    def test_is_in_the_title_of_a_list_until_somebody_looks(
        self, site: Site, open_window: OpenWindow
    ):
        username = site.new_user()
        job = make_job(site, username)
        page = open_window(site.login(username)).live_tab("/jobs/")
        site.shell(END.format(job=job, state="succeeded"))
        expect(page).to_have_title("Done: Contacts · Jobs · Carillon")
        page.evaluate("dispatchEvent(new Event('focus'))")
        expect(page).to_have_title("Jobs · Carillon")

    def test_is_a_notification_for_who_agreed_and_is_away(
        self, site: Site, open_window: OpenWindow
    ):
        username = site.new_user()
        job = make_job(site, username)
        window = open_window(site.login(username))
        window.context.add_init_script(RECORD_NOTIFICATIONS)
        page = window.live_tab(f"/jobs/{job}/")
        ask = page.get_by_role("button", name="Tell me when it ends")
        window.context.grant_permissions(["notifications"])
        page.reload()
        wait_for_connection(page, "live")
        expect(ask).to_be_hidden()  # it has been answered
        page.evaluate("window.away = true")
        site.shell(END.format(job=job, state="succeeded"))
        # Not wait_for_function(), which evaluates a string in the page: its policy forbids that.
        wait_until(lambda: page.evaluate("window.told.length > 0"), 10, "a notification")
        page.wait_for_timeout(300)
        assert page.evaluate("window.told") == [["Contacts", "Done", job]]

    def test_is_no_notification_for_who_looks_at_it(self, site: Site, open_window: OpenWindow):
        username = site.new_user()
        job = make_job(site, username)
        window = open_window(site.login(username), permissions=["notifications"])
        window.context.add_init_script(RECORD_NOTIFICATIONS)
        page = window.live_tab(f"/jobs/{job}/")
        site.shell(END.format(job=job, state="succeeded"))
        expect(page).to_have_title("Done: Contacts · Carillon")
        assert page.evaluate("window.told") == []

    def test_is_told_too_where_only_a_snapshot_has_it(self, site: Site, open_window: OpenWindow):
        """As in a tab that was hidden for long, whose stream is closed."""
        username = site.new_user()
        job = make_job(site, username)
        page = open_window(site.login(username)).live_tab(f"/jobs/{job}/")
        site.shell(SAVE_END.format(job=job))
        page.evaluate(
            "import(document.querySelector('script[type=module]').src"
            ".replace('carillon.js', 'snapshot.js')).then(m => m.refreshSnapshot())"
        )
        expect(page).to_have_title("Done: Contacts · Carillon")
        expect(page.get_by_role("status")).to_have_text("Contacts: Done")


BARE = """
from django.template import Context, Template
from notifications.jobs.models import Job
page = "{{% load carillon_jobs %}}<!doctype html><title>A shop</title>{{% job_progress job %}}"
print(Template(page).render(Context({{"job": Job.objects.get(pk="{job}")}})))
"""


def test_a_site_that_knows_no_dark_has_bars_that_can_be_read(site: Site, open_window: OpenWindow):
    username = site.new_user()
    html = site.shell(BARE.format(job=make_job(site, username, message="Reading")))
    page = open_window(site.login(username), color_scheme="dark").tab()
    page.route("**/bare/", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto("/bare/")

    def brightness(part: str) -> int:
        colour = page.locator(part).evaluate("element => getComputedStyle(element).color")
        return max(map(int, re.findall(r"\d+", colour)[:3]))

    assert max(map(brightness, (".job-title a", ".job-message"))) < 100
    for bare in page.locator("job-progress :is(h3, p, dl, dd)").all():
        assert bare.evaluate("element => getComputedStyle(element).margin") == "0px"
    page.evaluate("document.documentElement.style.colorScheme = 'dark'")
    assert min(map(brightness, (".job-title a", ".job-message"))) > 150


def test_staff_see_a_job_of_nobody_move(site: Site, open_window: OpenWindow):
    job = site.shell(
        "from notifications.jobs.models import Job\n"
        "print(Job.objects.create(title='Nightly', task='t', state='running').pk)"
    )
    page = open_window(site.login("admin")).live_tab(f"/jobs/{job}/")
    expect(page.get_by_text("A job of nobody")).to_be_visible()
    site.shell(
        "from notifications.jobs.models import Job\n"
        f"Job.objects.filter(pk='{job}').update(state='lost', error='Its worker is gone.')"
    )
    expect(hero(page)).to_have_attribute("data-state", "lost", timeout=25_000)
    expect(page.get_by_text("Its worker is gone.")).to_be_visible()
