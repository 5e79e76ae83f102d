"""The list of jobs: those that run first, narrowed and searched, kept current without a reload."""

from playwright.sync_api import Page, expect

from tests.browser.test_job_page import END, make_job
from tests.support.browser import OpenWindow, is_same, mark, upload
from tests.support.site import Site

START = """
from notifications.jobs.models import Job
from notifications.publishing import publish
job = Job.objects.get(pk="{job}")
Job.objects.filter(pk=job.pk).update(state="running", version=3)
job.refresh_from_db()
publish(f"user-{{job.owner_id}}", "job", job.as_event())
"""


def titles(page: Page):
    return page.locator(".job-row .job-title")


def test_what_runs_is_moved_up(site: Site, open_window: OpenWindow):
    username = site.new_user()
    first = make_job(site, username, title="First", state="queued")
    make_job(site, username, title="Second", state="queued")
    page = open_window(site.login(username)).live_tab("/jobs/")
    expect(titles(page)).to_have_text(["Second", "First"])
    mark(page)
    site.shell(START.format(job=first))
    expect(titles(page)).to_have_text(["First", "Second"])
    assert is_same(page)


def test_a_new_job_appears(make_site, open_window: OpenWindow):
    site = make_site(webs=1)
    visitor = site.login()
    page = open_window(visitor).live_tab("/jobs/")
    mark(page)
    for n in range(3):
        upload(visitor, f"{n}.txt", b"one")
        expect(titles(page)).to_have_count(n + 1)
    expect(titles(page)).to_have_text(["2.txt", "1.txt", "0.txt"])
    assert is_same(page)


def test_a_narrowed_list_takes_in_and_lets_go(site: Site, open_window: OpenWindow):
    username = site.new_user()
    jobs = [make_job(site, username, title=f"Job {n}") for n in range(2)]
    page = open_window(site.login(username)).live_tab("/jobs/")
    page.get_by_label("State").select_option("Done")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_text("Nothing like that")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-connection", "live")
    mark(page)
    site.shell(END.format(job=jobs[0], state="succeeded"))
    expect(titles(page)).to_have_text(["Job 0"])
    site.shell(END.format(job=jobs[1], state="failed"))
    page.get_by_label("Title").fill("half a word")  # what is being written stays
    page.wait_for_timeout(1500)
    expect(titles(page)).to_have_text(["Job 0"])
    expect(page.get_by_label("Title")).to_have_value("half a word")
    assert is_same(page)


def test_titles_are_searched_without_javascript_too(site: Site, open_window: OpenWindow):
    username = site.new_user()
    for title in ("Contacts of May", "Contacts of June", "Letters"):
        make_job(site, username, title=title, state="failed")
    page = open_window(site.login(username), java_script_enabled=False).tab("/jobs/")
    page.get_by_label("Title").fill("june contacts")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(titles(page)).to_have_text(["Contacts of June"])
    expect(page.get_by_label("Title")).to_have_value("june contacts")
    page.get_by_role("link", name="Show all").click()
    expect(titles(page)).to_have_count(3)
