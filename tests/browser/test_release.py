"""The release form as people fill it in: refused under its fields, then rehearsed before their eyes."""

from __future__ import annotations

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.browser.page import Page
from tests.integration.farm import Farm, commit
from tests.integration.test_release import CELLS, farm  # noqa: F401


@pytest.fixture
def page(browser: Chrome, farm: Farm) -> Page:  # noqa: F811
    return Page(browser, farm.url)


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


def test_the_form_refuses_under_its_fields_and_rehearses_by_default(page: Page, farm: Farm) -> None:  # noqa: F811
    unbuilt = commit(farm.repository, {}, "not built yet")
    open_form(page)
    assert page.element("[data-bb-test-id=force-field-dry_run]").is_selected()
    fill_in(page, tag="v1.0", revision=unbuilt)
    page.click("button.btn-primary", "Start build")
    page.wait(lambda: "This is no tag for a release" in said_under(page, "tag"), "the refusal under the tag")
    text = said_under(page, "revision")
    assert "0 of 2 cells are ready" in text
    assert f"Missing: {CELLS[0]}; {CELLS[1]}." in text
    fill_in(page, tag="2026112515", revision=farm.first)
    page.click("button.btn-primary", "Start build")
    # The page goes to the build by itself.
    page.shows("2026112515 is rehearsed", "2 of 2 cells are ready", "SUCCESS")
    page.element("a", "all ")
