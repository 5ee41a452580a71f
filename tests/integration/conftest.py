"""One farm for most tests: real processes, loopback ports, a repository of its own with stand-in programs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.farm import TARGET, Farm, make_repository

WORKERS = f'[[workers]]\nname = "local"\ntargets = ["{TARGET}"]\nmax_builds = 4\n'


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Up for all tests of the session. Its head builds well; what is to fail is committed to a branch of its own."""
    one = Farm(tmp_path_factory.mktemp("farm"), more_settings=WORKERS)
    one.first = make_repository(one.repository)
    try:
        yield one.up()
    finally:
        one.close()


@pytest.fixture
def own_farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm that a test may kill. Not started."""
    one = Farm(tmp_path_factory.mktemp("own"))
    make_repository(one.repository)
    try:
        yield one
    finally:
        one.close()
