"""What people do on the pages: look, force a build, follow it, take the archive; and what they see of a push."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.browser.page import PATIENCE_S, Page
from tests.integration.farm import Farm, cell_name, commit, git, until

CELL = cell_name("3.13")


@pytest.fixture
def page(browser: Chrome, farm: Farm) -> Page:
    return Page(browser, farm.url)


def test_the_builders_page_lists_the_cells_that_a_worker_builds(page: Page) -> None:
    page.open("#/builders").shows(CELL, cell_name("3.11", "pgo-lto"), cell_name("3.14", "freethreaded-pgo-lto"))


@pytest.mark.parametrize(
    ("revision", "said"), [("not-a-commit", "A commit is 40 digits"), ("f" * 40, "Commit or push it to a branch")]
)
def test_a_wrong_commit_shows_its_error_under_the_field_and_starts_nothing(
    page: Page, farm: Farm, revision: str, said: str
) -> None:
    before = farm.get("buildrequests")["buildrequests"]
    page.open_form(CELL)
    page.start_with(revision)
    page.wait(lambda: said in page.element(".modal-body .form-group.has-error, .modal-body").text, said)
    group = page.element("[data-bb-test-id=force-field-revision]").find_element(By.XPATH, "./ancestor::*[2]")
    assert said in group.text
    assert farm.get("buildrequests")["buildrequests"] == before


def test_a_forced_build_is_followed_to_its_archive_which_downloads_whole(
    page: Page, farm: Farm, downloads: Path
) -> None:
    head = git(farm.repository, "rev-parse", "main")
    page.open_form(CELL)
    page.start_with(head)
    page.shows("SUCCESS", ".tar.zst")  # the page went to the build by itself, and its last step's line has come
    link = page.element("a", ".tar.zst")
    name = link.text
    link.click()
    archive = until("the archive is downloaded", lambda: next(iter(downloads.glob(f"{name}")), None))
    request = max(row["buildrequestid"] for row in farm.get("buildrequests")["buildrequests"])
    said = farm.properties(farm.finished(request))
    assert (said["archive_name"], said["got_revision"]) == (name, head)
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == said["archive_sha256"]


def test_the_reports_are_readable_on_the_build_s_page(page: Page, farm: Farm) -> None:
    build = farm.finished(farm.force(CELL))
    assert build["results"] == 0
    said = farm.properties(build)
    page.open(said["archive_url"].removeprefix(farm.url).rpartition("/")[0] + "/validate.html")
    page.shows("elf.glibc-floor", "An archive must start where it is needed.")
    page.open(said["archive_url"].removeprefix(farm.url).rpartition("/")[0] + "/prove.html")
    page.shows("FIPS mode is proven", "md5-refused")


MESSAGE = "pushed while somebody was watching"


def test_a_push_to_main_builds_the_configured_cell_before_the_eyes_of_who_watches(page: Page, farm: Farm) -> None:
    page.open("#/changes")
    pushed = commit(farm.repository, {}, MESSAGE)
    page.shows(MESSAGE)
    rows = until("the push has a build that ended", lambda: builds_of(farm, pushed), PATIENCE_S)
    page.open(f"#/builders/{rows[0]['builderid']}/builds/{rows[0]['number']}").shows(CELL, "SUCCESS", ".tar.zst")


@pytest.mark.parametrize(("view", "texts"), [("waterfall", [CELL]), ("console", [CELL, MESSAGE]), ("grid", [MESSAGE])])
def test_the_views_show_what_was_built_of_a_push(page: Page, farm: Farm, view: str, texts: list[str]) -> None:
    if git(farm.repository, "log", "-1", "--format=%s", "main") != MESSAGE:
        pushed = commit(farm.repository, {}, MESSAGE)
        until("the push has a build that ended", lambda: builds_of(farm, pushed), PATIENCE_S)
    page.open(f"#/{view}").shows(*texts)


def builds_of(farm: Farm, revision: str) -> list[dict[str, Any]]:
    """The ended builds of a commit."""
    rows = farm.get("builds", property="got_revision", order="-buildid", limit=20)["builds"]
    return [r for r in rows if r["complete"] and r["properties"].get("got_revision", [""])[0] == revision]
