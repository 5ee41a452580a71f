"""What people do on the pages: look, force a build, follow it, take the archive; and what they see of a push."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.integration.farm import Farm, cell_name, commit, git, until

CELL = cell_name("3.13")
PATIENCE_S = 180  # an idle machine shows a page within a second, one that compiles beside it in many


class Page:
    """The browser at one page of the farm. The pages keep a websocket open, so what is waited for is what they show."""

    def __init__(self, browser: Chrome, farm: Farm) -> None:
        self.browser = browser
        self.farm = farm

    def open(self, path: str) -> Page:
        self.browser.get("about:blank")  # else another `#/…` of the same page would keep what is shown
        self.browser.get(self.farm.url + path)
        return self

    def text(self) -> str:
        return self.browser.find_element(By.TAG_NAME, "body").text

    def shows(self, *texts: str) -> Page:
        self._wait(lambda: all(text in self.text() for text in texts), f"{texts} on the page")
        return self

    def element(self, css: str, text: str = "") -> WebElement:
        """The first one that is shown and has the text."""
        found: list[WebElement] = []

        def look() -> bool:
            all_of_them = self.browser.find_elements(By.CSS_SELECTOR, css)
            found[:] = [one for one in all_of_them if one.is_displayed() and text in one.text]
            return bool(found)

        self._wait(look, f"{css} with {text!r}")
        return found[0]

    def click(self, css: str, text: str = "") -> None:
        self.element(css, text).click()

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        wait = WebDriverWait(self.browser, PATIENCE_S, ignored_exceptions=[StaleElementReferenceException])
        wait.until(lambda _: condition(), f"never saw {what} at {self.browser.current_url}")


@pytest.fixture
def page(browser: Chrome, farm: Farm) -> Page:
    return Page(browser, farm)


def open_form(page: Page) -> None:
    page.open("#/builders").click("a", CELL)
    page.click("button.btn-primary", "Build")
    page.element("[data-bb-test-id=force-field-revision]")


def start_with(page: Page, revision: str) -> None:
    field = page.element("[data-bb-test-id=force-field-revision]")
    field.clear()
    field.send_keys(revision)
    page.click("button.btn-primary", "Start build")


def test_the_builders_page_lists_the_cells_that_a_worker_builds(page: Page) -> None:
    page.open("#/builders").shows(CELL, cell_name("3.11", "pgo-lto"), cell_name("3.14", "freethreaded-pgo-lto"))


@pytest.mark.parametrize(
    ("revision", "said"), [("not-a-commit", "A commit is 40 digits"), ("f" * 40, "Commit or push it to a branch")]
)
def test_a_wrong_commit_shows_its_error_under_the_field_and_starts_nothing(
    page: Page, revision: str, said: str
) -> None:
    before = page.farm.get("buildrequests")["buildrequests"]
    open_form(page)
    start_with(page, revision)
    page._wait(lambda: said in page.element(".modal-body .form-group.has-error, .modal-body").text, said)
    group = page.element("[data-bb-test-id=force-field-revision]").find_element(By.XPATH, "./ancestor::*[2]")
    assert said in group.text
    assert page.farm.get("buildrequests")["buildrequests"] == before


def test_a_forced_build_is_followed_to_its_archive_which_downloads_whole(page: Page, downloads: Path) -> None:
    head = git(page.farm.repository, "rev-parse", "main")
    open_form(page)
    start_with(page, head)
    page.shows("SUCCESS", ".tar.zst")  # the page went to the build by itself, and its last step's line has come
    link = page.element("a", ".tar.zst")
    name = link.text
    link.click()
    archive = until("the archive is downloaded", lambda: next(iter(downloads.glob(f"{name}")), None))
    request = max(row["buildrequestid"] for row in page.farm.get("buildrequests")["buildrequests"])
    said = page.farm.properties(page.farm.finished(request))
    assert (said["archive_name"], said["got_revision"]) == (name, head)
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == said["archive_sha256"]


def test_the_reports_are_readable_on_the_build_s_page(page: Page) -> None:
    build = page.farm.finished(page.farm.force(CELL))
    assert build["results"] == 0
    said = page.farm.properties(build)
    page.open(said["archive_url"].removeprefix(page.farm.url).rpartition("/")[0] + "/validate.html")
    page.shows("elf.glibc-floor", "An archive must start where it is needed.")
    page.open(said["archive_url"].removeprefix(page.farm.url).rpartition("/")[0] + "/prove.html")
    page.shows("FIPS mode is proven", "md5-refused")


MESSAGE = "pushed while somebody was watching"


def test_a_push_to_main_builds_the_configured_cell_before_the_eyes_of_who_watches(page: Page) -> None:
    page.open("#/changes")
    pushed = commit(page.farm.repository, {}, MESSAGE)
    page.shows(MESSAGE)
    rows = until("the push has a build that ended", lambda: builds_of(page.farm, pushed), PATIENCE_S)
    page.open(f"#/builders/{rows[0]['builderid']}/builds/{rows[0]['number']}").shows(CELL, "SUCCESS", ".tar.zst")


@pytest.mark.parametrize(("view", "texts"), [("waterfall", [CELL]), ("console", [CELL, MESSAGE]), ("grid", [MESSAGE])])
def test_the_views_show_what_was_built_of_a_push(page: Page, view: str, texts: list[str]) -> None:
    if git(page.farm.repository, "log", "-1", "--format=%s", "main") != MESSAGE:
        pushed = commit(page.farm.repository, {}, MESSAGE)
        until("the push has a build that ended", lambda: builds_of(page.farm, pushed), PATIENCE_S)
    page.open(f"#/{view}").shows(*texts)


def builds_of(farm: Farm, revision: str) -> list[dict[str, Any]]:
    """The ended builds of a commit."""
    rows = farm.get("builds", property="got_revision", order="-buildid", limit=20)["builds"]
    return [r for r in rows if r["complete"] and r["properties"].get("got_revision", [""])[0] == revision]
