"""`python -m tests.browser.screenshot ADDRESS FILE [TEXT]`: a picture of a running farm, once it shows the text."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import started


def main(address: str, file: str, text: str = "SUCCESS") -> None:
    with tempfile.TemporaryDirectory() as profile, started(Path(profile), Path(profile)) as browser:
        browser.get(address)
        WebDriverWait(browser, 120).until(lambda one: text in one.find_element(By.TAG_NAME, "body").text)
        browser.save_screenshot(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
