"""The release form as people fill it in: refused under its fields, rehearsed before their eyes, then published."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.browser.page import Page
from tests.integration.farm import commit
from tests.integration.places import CELL, Places, running

TAG = "2026112515"
# Of a whole release, where others compile.
WAIT_S = 1200


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    with running(tmp_path_factory.mktemp("browser-places")) as found:
        yield found


@pytest.fixture
def page(browser: Chrome, places: Places) -> Page:
    return Page(browser, places.farm.url)


def open_form(page: Page) -> None:
    page.open("#/builders").click("a", "release")
    page.click("button.btn-primary", "Release")
    page.element("[data-bb-test-id=force-field-tag]")


def fill_in(page: Page, **fields: str) -> None:
    for name, text in fields.items():
        field = page.element(f"[data-bb-test-id=force-field-{name}]")
        field.clear()
        field.send_keys(text)


def said_under(page: Page, name: str) -> str:
    return page.element(f"[data-bb-test-id=force-field-{name}]").find_element(By.XPATH, "./ancestor::*[2]").text


def test_from_the_form_to_a_dry_run_and_to_a_release_in_every_place(page: Page, places: Places) -> None:
    farm = places.farm
    unbuilt = commit(farm.repository, {}, "not built yet")
    open_form(page)
    assert page.element("[data-bb-test-id=force-field-dry_run]").is_selected()
    fill_in(page, tag="v1.0", revision=unbuilt)
    page.click("button.btn-primary", "Start build")
    page.wait(lambda: "This is no tag for a release" in said_under(page, "tag"), "the refusal under the tag")
    text = said_under(page, "revision")
    assert "0 of 1 cell is ready" in text
    assert f"Missing: {CELL}." in text
    fill_in(page, tag=TAG, revision=farm.first)
    page.click("button.btn-primary", "Start build")
    # The page goes to the build by itself.
    page.shows(f"{TAG} is rehearsed", "1 of 1 cell is ready", "SUCCESS", seconds=WAIT_S)
    page.element("a", "all ")
    places.check_nothing(TAG)
    open_form(page)
    fill_in(page, tag=TAG, revision=farm.first)
    page.click("[data-bb-test-id=force-field-dry_run]")
    assert not page.element("[data-bb-test-id=force-field-dry_run]").is_selected()
    page.click("button.btn-primary", "Start build")
    page.shows(f"{TAG} is published", "SUCCESS", seconds=WAIT_S)
    places.check_whole(TAG)
