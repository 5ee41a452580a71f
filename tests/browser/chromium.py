"""Debian's Chromium, headless and by itself: nothing is fetched from anywhere, the farm on loopback is all there is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

PROGRAMS = ("chromium", "chromedriver")
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1400,1000",
)


@contextmanager
def started(profile: Path, downloads: Path) -> Iterator[webdriver.Chrome]:
    """A browser with the (empty) profile; downloads go to `downloads` without asking."""
    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.add_experimental_option(
        "prefs", {"download.default_directory": str(downloads), "download.prompt_for_download": False}
    )
    # A proxy of the environment is for the world outside.
    direct = {**os.environ, "no_proxy": "127.0.0.1,localhost", "NO_PROXY": "127.0.0.1,localhost"}
    browser = webdriver.Chrome(options, Service(str(shutil.which("chromedriver")), env=direct))
    try:
        yield browser
    finally:
        browser.quit()
