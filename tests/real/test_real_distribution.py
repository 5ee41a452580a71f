"""The machine's own distribution mirror and package index deliver what is pinned. Needs a network; minutes at worst."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.progress import Progress
from workers.reports.build import ChosenPin
from workers.sources.cache import verified
from workers.sources.choose import choose
from workers.sources.distribution import Distribution
from workers.sources.fetch import fetch
from workers.sources.meter import Meter
from workers.sources.outcome import Missed
from workers.sources.pins import load_pins
from workers.sources.settings import SourceSettings

pytestmark = pytest.mark.real

NO_UPSTREAM = SourceSettings(upstream=False)
# What `noopt` and `pgo+lto` of 3.13 and 3.11 are built from.
NEEDED = (
    "bzip2", "cpython-3.11", "cpython-3.13", "expat", "libedit", "libffi", "libuuid", "mpdecimal", "ncurses", "openssl",
    "openssl-fips", "sqlite", "xz", "ziglang", "zlib", "zstd",
)  # fmt: skip


def test_everything_for_a_build_comes_from_the_distribution_and_the_package_index(tmp_path: Path) -> None:
    pins, cache, state = load_pins(), tmp_path / "cache", tmp_path / "state"
    lists = Path("/var/lib/apt/lists")
    before = sorted((path, path.stat().st_mtime_ns) for path in lists.rglob("*")) if lists.is_dir() else []
    chosen = choose(NEEDED, pins, cache, state, NO_UPSTREAM, Progress())
    fetched = fetch(chosen, pins, cache, state, NO_UPSTREAM, Progress())
    assert [source.source for source in fetched] == list(NEEDED)
    assert all(verified(cache, source.sha256, source.size) for source in fetched)
    assert before == (sorted((path, path.stat().st_mtime_ns) for path in lists.rglob("*")) if lists.is_dir() else [])


def test_what_the_distribution_lists_under_a_pins_file_name_has_the_pinned_digest(tmp_path: Path) -> None:
    pins = [pin for releases in load_pins().values() for pin in releases if pin.distro is not None]
    client = Distribution(tmp_path, [pin.distro for pin in pins if pin.distro is not None], Progress())
    client_has = 0
    for pin in pins:
        try:
            client_has += bool(client.listed(pin.files[-1]))
        except Missed:
            continue
    # Releases leave the suites over time; that most are there shows that the digests are the distribution's.
    assert client_has > len(pins) / 2


def test_the_distributions_file_of_a_single_pin_is_fetched(tmp_path: Path) -> None:
    pins = load_pins()
    pin = pins["bzip2"][0]
    client = Distribution(tmp_path / "state", [pin.distro] if pin.distro else [], Progress())
    path, _ = client.download(pin.files[0], tmp_path, Meter(Progress(), 0))
    assert path.stat().st_size == pin.size
    (got,) = fetch(
        [ChosenPin("bzip2", pin.version, pin.sha256, pin.version)],
        pins,
        tmp_path / "cache",
        tmp_path / "state",
        NO_UPSTREAM,
        Progress(),
    )
    assert got.origin.startswith("the distribution's bzip2 ")
