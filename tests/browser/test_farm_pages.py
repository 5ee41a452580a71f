"""The farm's own pages in a real browser: found in the menu, by a link, by the keyboard; in light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from master.pages.listed import PAGES
from tests.browser.page import Page
from tests.integration.farm import Farm, cell_name, git
from tests.unit.html_checks import faults

IN_MENU = [page for page in PAGES if page.menu]
# The contrast of every text that is seen, by WCAG 2's formula: what is less than 4.5 to 1.
CONTRAST = """
const light = (c) => {
  const p = c.map(v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * p[0] + 0.7152 * p[1] + 0.0722 * p[2]; };
const parsed = (text) => { const v = text.match(/[\\d.]+/g).map(Number); return v.length > 3 ? v : [...v, 1]; };
const behind = (e) => { for (; e; e = e.parentElement) { const c = parsed(getComputedStyle(e).backgroundColor);
  if (c[3] > 0) { return c; } } return [255, 255, 255, 1]; };
const found = [];
for (const e of document.querySelectorAll('main.mint, main.mint *')) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  const style = getComputedStyle(e);
  if (!own || style.visibility === 'hidden' || e.tagName === 'OPTION' || e.closest('.mint-hidden')) { continue; }
  const ink = parsed(e instanceof SVGElement ? style.fill : style.color), paper = behind(e);
  const [a, b] = [light(ink), light(paper)];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const said = `${e.tagName}.${e.getAttribute('class')} ${e.textContent.slice(0, 30)}`;
  if (ratio < 4.5) { found.push(`${ratio.toFixed(2)} ${said}`); }
}
return found;
"""


@pytest.fixture(scope="module")
def built(farm: Farm) -> dict[str, Any]:
    """A build of the head that ended well, with its archive."""
    build = farm.finished(farm.force(cell_name("3.13"), revision=git(farm.repository, "rev-parse", "main")))
    assert build["results"] == 0
    return {**build, "revision": git(farm.repository, "rev-parse", "main")}


@pytest.fixture
def page(browser: Chrome, farm: Farm) -> Iterator[Page]:
    yield Page(browser, farm.url)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def dark(browser: Chrome) -> None:
    scheme = {"name": "prefers-color-scheme", "value": "dark"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def test_every_page_is_in_buildbot_s_menu_and_sound_there(page: Page, built: dict[str, Any]) -> None:
    page.open("#/farm/matrix").shows(built["revision"][:12])
    page.wait(lambda: len(page.browser.find_elements(By.CSS_SELECTOR, "a[href*='#/farm/']")) > 3, "the farm's menu")
    for one in IN_MENU:
        page.open(f"#/farm/{one.name}")
        page.element("main.mint h1")
        html = page.browser.find_element(By.CSS_SELECTOR, ".mint-frame").get_attribute("innerHTML")
        assert faults(html or "", whole=False) == [], one.name
        assert len(page.browser.find_elements(By.TAG_NAME, "h1")) == 1
        assert "pymint" in page.browser.title


def test_a_link_leads_to_the_same_view_also_after_a_reload_and_by_a_form(page: Page, built: dict[str, Any]) -> None:
    path = f"#/farm/matrix?sha={built['revision']}&version=3.13&target=x86_64-unknown-linux-gnu"
    for again in (False, True):
        if again:
            page.browser.refresh()
        else:
            page.open(path)
        page.shows(built["revision"][:12], "noopt")
        assert page.browser.find_elements(By.XPATH, "//th[@scope='row' and text()='3.13']")
        assert not page.browser.find_elements(By.XPATH, "//th[@scope='row' and text()='3.10']")
    page.element("#mint-version").send_keys("3.10")
    page.click("main.mint button", "Show")
    page.wait(lambda: "version=3.10" in page.browser.current_url, "the choice in the address")
    page.element("th[scope=row]", "3.10")


def test_from_the_matrix_to_the_archive_and_its_file(page: Page, built: dict[str, Any]) -> None:
    page.open(f"#/farm/matrix?sha={built['revision']}").click("main.mint .mint-links a", "archive")
    page.shows("All flavours", "install_only_stripped", "Contents of full", "cpython-3.13", "1 rule held")
    link = page.element("main.mint a", ".tar.zst").get_attribute("href") or ""
    assert "/archives/" in link
    assert len(page.browser.find_elements(By.CSS_SELECTOR, "svg[role=img] rect")) > 10


def test_with_the_keyboard_alone(page: Page, built: dict[str, Any]) -> None:
    page.open("pages/matrix").shows(built["revision"][:12])
    ActionChains(page.browser).send_keys(Keys.TAB).perform()
    first = page.browser.switch_to.active_element
    assert first.text == "Skip to the content"
    assert first.location["x"] >= 0
    first.send_keys(Keys.ENTER)
    reached = []
    for _ in range(12):
        ActionChains(page.browser).send_keys(Keys.TAB).perform()
        one = page.browser.switch_to.active_element
        reached.append(one.get_attribute("name") or one.text)
        outline = one.value_of_css_property("outline-style")
        assert outline not in ("none", ""), f"{reached[-1]}: the focus is not seen"
    assert reached[:5] == ["sha", "target", "version", "variant", "Show"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(page: Page, built: dict[str, Any], scheme: str) -> None:
    if scheme == "dark":
        dark(page.browser)
    archive = f"archive?builder={cell_name('3.13')}&number={built['number']}"
    for path in (*(one.name for one in IN_MENU), archive):
        page.open(f"#/farm/{path}").element("main.mint h1")
        assert page.browser.execute_script(CONTRAST) == [], path


def test_a_narrow_window_scrolls_tables_and_not_the_page(page: Page, built: dict[str, Any]) -> None:
    size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    archive = f"archive?builder={cell_name('3.13')}&number={built['number']}"
    for path in (*(one.name for one in IN_MENU), archive):
        page.open(f"pages/{path}").element("main.mint h1")
        wide = page.browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= 400, path


def test_what_a_proxy_says_for_a_master_that_is_away_is_not_put_into_the_page(page: Page) -> None:
    page.open("#/farm/matrix").element("main.mint h1")
    page.browser.execute_script(
        "window.fetch = async () => new Response('<html><h1>502 by a proxy</h1></html>', {status: 502});"
        "window.location.hash = '#/farm/readiness';"
    )
    page.shows("The master does not answer. This page tries again by itself.")
    assert "502" not in page.text()
