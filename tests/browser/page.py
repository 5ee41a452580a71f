"""What a person does at a farm's pages, in words: open, see, click, force a build."""

from __future__ import annotations

from collections.abc import Callable

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_S = 180  # an idle machine shows a page within a second, one that compiles beside it in many


class Page:
    """The browser at one page of the farm. The pages keep a websocket open, so what is waited for is what they show."""

    def __init__(self, browser: Chrome, url: str) -> None:
        self.browser = browser
        self.url = url

    def open(self, path: str) -> Page:
        self.browser.get("about:blank")  # else another `#/…` of the same page would keep what is shown
        self.browser.get(self.url + path)
        return self

    def text(self) -> str:
        return self.browser.find_element(By.TAG_NAME, "body").text

    def shows(self, *texts: str, seconds: float = PATIENCE_S) -> Page:
        self.wait(lambda: all(text in self.text() for text in texts), f"{texts} on the page", seconds)
        return self

    def element(self, css: str, text: str = "") -> WebElement:
        """The first one that is shown and has the text."""
        found: list[WebElement] = []

        def look() -> bool:
            all_of_them = self.browser.find_elements(By.CSS_SELECTOR, css)
            found[:] = [one for one in all_of_them if one.is_displayed() and text in one.text]
            return bool(found)

        self.wait(look, f"{css} with {text!r}")
        return found[0]

    def click(self, css: str, text: str = "") -> None:
        self.element(css, text).click()

    def open_form(self, cell: str) -> None:
        """The form that forces one cell."""
        self.open("#/builders").click("a", cell)
        self.click("button.btn-primary", "Build")
        self.element("[data-bb-test-id=force-field-revision]")

    def start_with(self, revision: str) -> None:
        """Fills the open form in and sends it."""
        field = self.element("[data-bb-test-id=force-field-revision]")
        field.clear()
        field.send_keys(revision)
        self.click("button.btn-primary", "Start build")

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
        wait = WebDriverWait(self.browser, seconds, ignored_exceptions=[StaleElementReferenceException])
        wait.until(lambda _: condition(), f"never saw {what} at {self.browser.current_url}")
