"""Which release is taken: the preferred one that some origin delivers, and what is said of those that none does."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.sources_server import GOOD, Heard, Served, closed_port, pin, serving, sha
from workers.errors import Failure
from workers.model import ROOT
from workers.reports.build import ChosenPin
from workers.sources.cache import cached_path
from workers.sources.choose import choose
from workers.sources.pins import Distro, Pin
from workers.sources.settings import SourceSettings

UPSTREAM = SourceSettings(distro=False)
OLD = GOOD[:1000]


def chosen(tmp_path: Path, *releases: Pin, settings: SourceSettings = UPSTREAM) -> ChosenPin:
    (found,) = choose(["zlib"], {"zlib": releases}, tmp_path / "cache", tmp_path / "state", settings, Heard())
    return found


def put(tmp_path: Path, content: bytes) -> None:
    place = cached_path(tmp_path / "cache", sha(content))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


def test_the_newest_release_is_taken_where_upstream_has_it(tmp_path: Path) -> None:
    with serving(new__gz=Served(), old__gz=Served(content=OLD)) as site:
        found = chosen(tmp_path, pin(site.url("new.gz")), pin(site.url("old.gz"), version="1.0", content=OLD))
    assert (found.version, found.is_newest, found.note) == ("2.0", True, "")
    assert site.gets("new.gz") == []


def test_a_release_that_nobody_has_is_passed_over_and_the_note_says_why(tmp_path: Path) -> None:
    with serving(old__gz=Served(content=OLD)) as site:
        found = chosen(tmp_path, pin(site.url("new.gz")), pin(site.url("old.gz"), version="1.0", content=OLD))
    assert (found.version, found.newest, found.sha256) == ("1.0", "2.0", sha(OLD))
    assert found.note == f"2.0: 127.0.0.1:{site.port} answers 404"


def test_a_file_of_another_size_under_the_name_is_not_the_release(tmp_path: Path) -> None:
    with serving(new__gz=Served(content=b"an error page"), old__gz=Served(content=OLD)) as site:
        found = chosen(tmp_path, pin(site.url("new.gz")), pin(site.url("old.gz"), version="1.0", content=OLD))
    assert found.version == "1.0"
    assert "has 13 bytes under that name" in found.note


def test_a_server_that_refuses_to_be_asked_is_asked_for_one_byte(tmp_path: Path) -> None:
    with serving(new__gz=Served(head=405)) as site:
        found = chosen(tmp_path, pin(site.url("new.gz")), pin(site.url("old.gz"), version="1.0", content=OLD))
    assert found.version == "2.0"
    assert site.gets("new.gz")[0]["range"] == "bytes=0-0"


def test_a_host_that_does_not_answer_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workers.sources.http import Web

    asked: list[str] = []
    original = Web._probed

    def counted(self: Web, url: str, file: object) -> str | None:
        asked.append(url)
        return original(self, url, file)  # type: ignore[arg-type]

    monkeypatch.setattr(Web, "_probed", counted)
    port = closed_port()
    releases = [pin(f"http://127.0.0.1:{port}/{n}.gz", version=str(n), content=bytes([n])) for n in (3, 2, 1)]
    with pytest.raises(Failure) as caught:
        chosen(tmp_path, *releases)
    assert len(asked) == 1
    assert f"zlib 1: 127.0.0.1:{port} does not answer (Connection refused)" in str(caught.value)


def test_a_cached_release_is_taken_without_asking_anybody(tmp_path: Path) -> None:
    put(tmp_path, GOOD)
    with serving() as site:
        found = chosen(tmp_path, pin(site.url("new.gz")), pin(site.url("old.gz"), version="1.0", content=OLD))
    assert found.version == "2.0"
    assert site.requests == []


def test_a_cached_older_release_does_not_hide_a_newer_one(tmp_path: Path) -> None:
    put(tmp_path, OLD)
    with serving(new__gz=Served()) as site:
        found = chosen(tmp_path, pin(site.url("new.gz")), pin(site.url("old.gz"), version="1.0", content=OLD))
    assert found.version == "2.0"


def test_a_single_release_is_not_asked_for(tmp_path: Path) -> None:
    with serving() as site:
        assert chosen(tmp_path, pin(site.url("new.gz"))).version == "2.0"
    assert site.requests == []


def test_a_mirror_counts_as_delivering(tmp_path: Path) -> None:
    with serving(new__gz=Served()) as mirror:
        settings = SourceSettings(mirrors=(mirror.url("")[:-1],), distro=False, upstream=False)
        found = chosen(
            tmp_path,
            pin("http://127.0.0.1:1/new.gz"),
            pin("http://127.0.0.1:1/old.gz", version="1.0", content=OLD),
            settings=settings,
        )
    assert found.version == "2.0"


def test_the_repacked_tarball_is_the_release_by_its_own_digest(tmp_path: Path) -> None:
    repacked = b"repacked"
    distro = Distro("zlib", "2.0-1", "trixie", "zlib_2.0.orig.tar.gz", sha(repacked), len(repacked))
    with serving(zlib_2__0__orig__tar__gz=Served(content=repacked)) as mirror:
        settings = SourceSettings(mirrors=(mirror.url("")[:-1],), distro=False)
        found = chosen(tmp_path, pin(mirror.url("new.gz"), distro=distro), settings=settings)
    assert (found.version, found.sha256, found.is_newest) == ("2.0", sha(repacked), True)
    assert found.note == "the distribution's repacked tarball of the release"


def test_of_two_files_of_a_release_the_cached_one_is_taken(tmp_path: Path) -> None:
    repacked = b"repacked"
    put(tmp_path, repacked)
    distro = Distro("zlib", "2.0-1", "trixie", "zlib_2.0.orig.tar.gz", sha(repacked), len(repacked))
    with serving(new__gz=Served()) as site:
        found = chosen(tmp_path, pin(site.url("new.gz"), distro=distro))
    assert found.sha256 == sha(repacked)
    assert site.requests == []


def test_when_nobody_delivers_each_release_and_what_was_said_of_it_is_told(tmp_path: Path) -> None:
    with serving() as site, pytest.raises(Failure) as caught:
        chosen(tmp_path, pin(site.url("new.gz")), pin(site.url("old.gz"), version="1.0", content=OLD))
    told = str(caught.value)
    assert "no origin delivers any pinned release of zlib" in told
    assert f"zlib 2.0: 127.0.0.1:{site.port} answers 404" in told
    assert f"zlib 1.0: 127.0.0.1:{site.port} answers 404" in told
    assert "--offline DIR" in told


def test_offline_takes_the_newest_that_the_directory_has_and_asks_nobody(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "old.gz").write_bytes(OLD)
    with serving(new__gz=Served()) as site:
        found = chosen(
            tmp_path,
            pin(site.url("new.gz")),
            pin(site.url("old.gz"), version="1.0", content=OLD),
            settings=SourceSettings(offline=shelf),
        )
    assert found.version == "1.0"
    assert site.requests == []


def test_a_name_that_is_no_source_is_answered_with_those_that_are(tmp_path: Path) -> None:
    from workers.sources.pins import load_pins

    with pytest.raises(Failure, match="there is no source 'zlb'") as caught:
        choose(["zlb"], load_pins(), tmp_path, tmp_path, UPSTREAM, Heard())
    assert "zlib, zstd" in str(caught.value)


def test_with_all_cached_choosing_is_quick_and_loads_no_http_library(tmp_path: Path) -> None:
    put(tmp_path, GOOD)
    code = """
import sys, time
from pathlib import Path
from tests.unit.sources_server import Heard, pin
from workers.sources.choose import choose
from workers.sources.settings import SourceSettings
def both(name):
    return pin("http://192.0.2.1/a", source=name), pin("http://192.0.2.1/b", version="1", content=b"")
many = {str(n): both(str(n)) for n in range(20)}
started = time.process_time()
choose(list(many), many, Path(sys.argv[1]) / "cache", Path(sys.argv[1]) / "state", SourceSettings(), Heard())
assert "httpx" not in sys.modules
assert time.process_time() - started < 0.2, time.process_time() - started
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_any_origin_the_answer_comes_at_once(tmp_path: Path) -> None:
    started, used = time.monotonic(), time.process_time()
    releases = [pin("http://192.0.2.1/a", version=str(n), content=bytes([n])) for n in (3, 2, 1)]
    with pytest.raises(Failure, match="no origin delivers"):
        chosen(tmp_path, *releases, settings=SourceSettings(distro=False, upstream=False))
    # CPU time, since other tests may run beside this one; a network that is asked after all would take seconds.
    assert time.process_time() - used < 0.2
    assert time.monotonic() - started < 2.5
