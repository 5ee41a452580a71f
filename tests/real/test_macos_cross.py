"""macOS's recipes, run for real on Linux: libraries and the FIPS provider, cross-compiled with a makeshift SDK.

    PYMINT_TEST_STATE=DIR .venv/bin/python -m pytest tests/real/test_macos_cross.py

keeps what was built in DIR, for the next time; else everything is built anew: a minute of CPU for the libraries, five
for the provider. Sources come from MINT_CACHE or are fetched. Nothing that is built here can be run here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.real.macos_sdk import cached_wheel, make_sdk
from workers.driver import build_nodes
from workers.fips.config import check_mac, parse_fipsmodule
from workers.objects import extract
from workers.programs import build, plan, sources
from workers.programs.common import Places
from workers.progress import Progress
from workers.sandbox import sandbox_problem
from workers.sources.choose import choose
from workers.sources.fetch import fetch
from workers.sources.pins import load_pins
from workers.sources.settings import SourceSettings
from workers.store import Store
from workers.validate import ar
from workers.validate.macho import MachO, read_macho

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sandbox_problem() is not None, reason=f"no sandbox here: {sandbox_problem()}"),
]
TARGET = "aarch64-apple-darwin"
LIBRARIES = ("bzip2", "xz", "zstd", "libffi", "expat", "mpdecimal")


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """A plan of a cell for macOS on this machine, its sources in the cache."""
    top = tmp_path_factory.mktemp("macos")
    cache = Path(os.environ.get("MINT_CACHE") or Path.home() / ".cache/pymint").resolve()
    places = Places(top / "run", Path(os.environ.get("PYMINT_TEST_STATE") or top / "state").resolve(), cache)
    for directory in (places.run, places.state, places.cache):
        directory.mkdir(parents=True, exist_ok=True)
    if not cached_wheel(cache).is_file():
        chosen = choose(("ziglang",), load_pins(), cache, places.state, SourceSettings(), Progress())
        fetch(chosen, load_pins(), cache, places.state, SourceSettings(), Progress())
    with pytest.MonkeyPatch.context() as patch:
        # Not below /tmp, of which a recipe sees another.
        sdk = make_sdk(cached_wheel(cache), places.cache / "sdk" / str(os.getpid()))
        patch.setenv("PYMINT_MACOS_SDK", str(sdk))
        where = ["--run", str(places.run), "--state", str(places.state), "--cache", str(places.cache)]
        cell = ["--python", "3.13", "--target", TARGET, "--variant", "noopt"]
        for program, arguments in ((plan, cell), (sources, [])):
            ran = CliRunner().invoke(program.command, [*arguments, *where])
            assert ran.exit_code == 0, ran.output
        yield places
        shutil.rmtree(sdk.parent)


def built(places: Places, node: str, into: Path) -> Path:
    """A node's output, built by the very driver and recipe that a Mac uses."""
    progress = Progress()
    store = Store(places.state / "store", progress.line)
    shop = build._workshop(places.plan(), places, store, progress, os.cpu_count() or 1)
    try:
        (one,) = build_nodes(shop, [node])
    finally:
        shop.jobserver.close()
    extract(store.path_of(one.digest), into)
    return into


def objects(library: Path) -> list[MachO]:
    found = [read_macho(f"{library.name}:{name}", data) for name, data in ar.members(library.read_bytes())]
    assert None not in found
    return [one for one in found if one is not None]


@pytest.mark.parametrize("node", LIBRARIES)
def test_a_library_is_for_the_oldest_promised_macos_and_hides_its_symbols(
    planned: Places, node: str, tmp_path: Path
) -> None:
    libraries = sorted((built(planned, node, tmp_path) / "lib").glob("*.a"))
    assert libraries
    for one in [one for library in libraries for one in objects(library)]:
        assert (one.machine, one.kind) == ("arm64", "object"), one.path
        assert one.minos in ((11, 0, 0), ()), one.path  # an assembler's object need not say it
        assert one.exported == frozenset(), one.path


def test_the_provider_exports_one_symbol_is_signed_and_has_the_mac_of_its_signed_bytes(
    planned: Places, tmp_path: Path
) -> None:
    left = built(planned, "fips-provider", tmp_path)
    module = (left / "ossl-modules/fips.dylib").read_bytes()
    found = read_macho("share/ssl/ossl-modules/fips.dylib", module)
    assert found is not None
    assert (found.machine, found.kind, found.two_level, found.minos) == ("arm64", "bundle", True, (11, 0, 0))
    assert found.exported == {"_OSSL_provider_init"}
    assert [dylib.name for dylib in found.dylibs] == ["/usr/lib/libSystem.B.dylib"]
    assert found.rpaths == ()
    assert found.signature is not None
    assert (found.signature.adhoc, found.signature.broken) == (True, None)
    config = (left / "fipsmodule.cnf").read_text()
    check_mac(module, config)
    assert parse_fipsmodule(config)["activate"] == "1"
    assert b"/mnt/pymint/build" not in module


def test_cpython_itself_is_refused_by_name_before_anything_is_compiled(planned: Places) -> None:
    where = ["--run", str(planned.run), "--state", str(planned.state), "--cache", str(planned.cache)]
    ran = CliRunner().invoke(build.command, ["--stage", "cpython", *where])
    assert ran.exit_code == 1
    assert "nothing emulates aarch64-apple-darwin here" in ran.output
