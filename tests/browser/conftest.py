"""Debian's Chromium on the pages of a real farm with stand-in programs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.browser.chromium import PROGRAMS, started

# The farm that the integration tests run on, for these too.
from tests.integration.conftest import _own_cache, farm  # noqa: F401


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.browser)
        if missing:
            why = f"needs {' and '.join(missing)} (Debian: apt-get install chromium chromium-driver)"
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Iterator[webdriver.Chrome]:
    with started(tmp_path_factory.mktemp("profile"), downloads) as one:
        yield one
