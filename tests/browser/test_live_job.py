"""The main job as a person sees it: choose a file, watch it, read what is in it. No reload."""

import json
import re
import subprocess
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support.browser import (
    KEEP_WHAT_JOBS_SHOW,
    OpenWindow,
    analysed,
    is_same,
    job_id,
    mark,
    shown,
)
from tests.support.site import Site


def choose(page: Page, path: Path) -> None:
    page.get_by_label("Drop a file here, or choose one").set_input_files(path)
    page.get_by_role("button", name="Analyse").click()
    page.wait_for_url(re.compile("/jobs/.+"), wait_until="commit")


def figures_of(path: Path) -> tuple[str, int, int, int]:
    """Return SHA-256, bytes, lines and words, as the system's own programs have them."""

    def words_of(*command: str) -> list[str]:
        env = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
        done = subprocess.run([*command, path], capture_output=True, text=True, check=True, env=env)
        return done.stdout.split()

    lines, words, size = map(int, words_of("wc", "-lwc")[:3])
    return words_of("sha256sum")[0], size, lines, words


def figures_on(page: Page) -> tuple[str, int, int, int]:
    facts = dict(
        zip(
            page.locator(".facts dt").all_inner_texts(),
            page.locator(".facts dd").all_inner_texts(),
            strict=True,
        )
    )
    size = facts["Size"].splitlines()[-1]  # "57.2 MB", then "60,000,000 bytes"
    numbers = [int(re.sub(r"\D", "", text)) for text in (size, facts["Lines"], facts["Words"])]
    return facts["SHA-256"], *numbers


def wait_for_the_end(page: Page, job: str) -> None:
    expect(page.locator(f"job-progress[data-job-id='{job}']")).to_have_attribute(
        "data-state", "succeeded", timeout=30_000
    )


def test_a_file_is_worked_through_before_ones_eyes(
    site: Site, open_window: OpenWindow, long_text: Path
):
    window = open_window(site.login())
    window.context.add_init_script(KEEP_WHAT_JOBS_SHOW)
    page = window.tab()
    choose(page, long_text)
    job = job_id(page)
    mark(page)
    wait_for_the_end(page, job)
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    assert figures_on(page) == figures_of(long_text)
    assert is_same(page)

    size = long_text.stat().st_size
    running = [state for state in shown(page, job) if state["state"] == "running"]
    values = [state["value"] for state in running if state["value"] is not None]
    assert len(set(values)) >= 3, "the bar never moved"
    assert values == sorted(values)
    assert {state["max"] for state in running} == {1}
    done = [state for state in running if state["value"]]
    total = f"{size / 1024**2:.1f}\N{NO-BREAK SPACE}MB"
    for state in done:
        assert state["amount"].endswith(f" of {total}"), state
        assert state["spoken"] in (state["amount"], None)
    assert done[-1]["spoken"] == done[-1]["amount"]
    assert {state["word"] for state in running} == {"Running"}
    bar = page.locator("job-progress progress")
    expect(bar).to_have_attribute("aria-label", f"Progress of {long_text.name}")
    expect(page.get_by_role("status")).to_have_text(f"{long_text.name}: Done")


def test_all_tabs_and_browsers_of_its_owner_show_the_job_and_nobody_elses(
    site: Site, open_window: OpenWindow, long_text: Path
):
    owner, stranger = site.login(), site.login()
    first, second = open_window(owner), open_window(owner.at(site.base_urls[1]))
    others = open_window(stranger)
    page = first.tab()
    watching = []
    for window in (first, second, others):
        window.context.add_init_script(KEEP_WHAT_JOBS_SHOW)
        watching.append(window.live_tab("/jobs/"))
        mark(watching[-1])
    choose(page, long_text)
    job = job_id(page)
    for tab in watching[:2]:
        wait_for_the_end(tab, job)
        assert is_same(tab)
        states = shown(tab, job)
        order = list(dict.fromkeys(state["state"] for state in states))
        assert order in (["queued", "running", "succeeded"], ["running", "succeeded"])
        values = [state["value"] for state in states if state["state"] == "running"]
        assert len(set(values)) >= 3
        expect(tab.get_by_role("link", name=long_text.name)).to_have_attribute(
            "href", f"/jobs/{job}/"
        )

    # What comes to the stranger now comes after whatever could have come before.
    own = analysed(stranger, "own.txt", b"own")
    expect(watching[2].get_by_role("link", name="own.txt")).to_be_visible()
    assert {state["id"] for state in watching[2].evaluate("window.shown")} == {own.split("/")[2]}
    others.expect("404")
    for path in (f"/jobs/{job}/", f"/jobs/{job}/result.json"):
        response = watching[2].goto(path)
        assert response is not None and response.status == 404
        expect(watching[2].get_by_role("heading", level=1)).to_have_text("There is nothing here")


def test_a_job_waits_until_a_worker_is_free(make_site, open_window: OpenWindow, tmp_path: Path):
    site = make_site(webs=1, workers=0)
    (tmp_path / "small.txt").write_text("one two\nthree\n")
    page = open_window(site.login()).tab()
    choose(page, tmp_path / "small.txt")
    mark(page)
    expect(page.locator("job-progress .state")).to_have_text("Waiting")
    expect(page.get_by_text("It starts as soon as a worker is free.")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_count(0)
    site.start_worker()
    wait_for_the_end(page, job_id(page))
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    assert is_same(page)


def test_the_result_can_be_downloaded(site: Site, open_window: OpenWindow, tmp_path: Path):
    content = "größer\nals 🎐\n".encode()
    visitor = site.login()
    page = open_window(visitor).tab(analysed(visitor, "größen.txt", content))
    with page.expect_download() as started:
        page.get_by_role("link", name="Download as JSON").click()
    download = started.value
    assert download.suggested_filename == "größen.txt.json"
    download.save_as(tmp_path / "result.json")
    result = json.loads((tmp_path / "result.json").read_text())
    (tmp_path / "file").write_bytes(content)
    figures = (result["sha256"], result["size"], result["lines"], result["words"])
    assert figures == figures_of(tmp_path / "file")
    assert figures[1] == len(content)
    assert result["encoding"] == "utf-8"
