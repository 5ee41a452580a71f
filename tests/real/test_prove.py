"""The proof on real interpreters: one without our switch, and, where one is given, a real archive and spoilt ones."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from workers.fips.prove import prove
from workers.fips.tree import CONFIG, MODULE_CONFIG, find_tree
from workers.progress import Progress
from workers.reports.checks import ProveReport
from workers.tarball import Entry, entries_below, extract, write_tar

pytestmark = pytest.mark.real

# An archive of ours (.tar, .tar.zst, .tar.gz) that these tests spoil copies of.
ARCHIVE = os.environ.get("PYMINT_TEST_ARCHIVE", "")


def proven(archive: Path, tmp_path: Path) -> ProveReport:
    return prove(archive, tmp_path / "scratch", Progress(io.StringIO()))


def failed(report: ProveReport) -> set[str]:
    return {check.id for check in report.checks if not check.ok}


@pytest.fixture(scope="module")
def without_switch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of the Python that runs the tests, laid out like an install_only one."""
    minor = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(sys.base_prefix)
    left_out = ("/test/", "/site-packages/", "/dist-packages/", "/__pycache__/", "/config-")
    library = [e for e in entries_below(base / "lib" / minor, f"python/lib/{minor}/") if e.data or e.source]
    entries = [entry for entry in library if not any(part in entry.path for part in left_out)]
    executable = Path(sys.executable).resolve()
    shared = [Entry(f"python/lib/{p.name}", source=p) for p in (base / "lib").glob("libpython3*.so*")]
    path = tmp_path_factory.mktemp("archive") / "foreign.tar"
    write_tar(path, [*entries, *shared, Entry(f"python/bin/{minor}", source=executable, executable=True)], epoch=0)
    return path


def test_an_archive_without_the_switch_is_judged_and_not_proven(without_switch: Path, tmp_path: Path) -> None:
    report = proven(without_switch, tmp_path)
    assert not report.ok
    assert {
        "files.module",
        "files.mac",
        "files.config",
        "inside.mode.provider",
        "inside.md5.constructor",
        "inside.md5.by-name",
        "inside.tls.chacha",
        "start.variable",
        "start.marker",
        "start.too-late",
        "tamper",
    } <= failed(report)
    assert report.provider_name == "none"


def test_an_archive_of_another_machine_is_judged_and_not_proven(tmp_path: Path) -> None:
    path = tmp_path / "other.tar"
    write_tar(path, [Entry("python/bin/python3.13", data=b"\xcf\xfa\xed\xfe", executable=True)], epoch=0)
    report = proven(path, tmp_path)
    assert any("can't be started" in check.found for check in report.checks)


def test_an_archive_without_an_interpreter_is_judged_and_not_proven(tmp_path: Path) -> None:
    path = tmp_path / "empty.tar"
    write_tar(path, [Entry("README", data=b"nothing")], epoch=0)
    assert "inside" in failed(proven(path, tmp_path))


needs_archive = pytest.mark.skipif(not ARCHIVE, reason="PYMINT_TEST_ARCHIVE names no archive of ours")


@needs_archive
def test_a_real_archive_is_proven(tmp_path: Path) -> None:
    report = proven(Path(ARCHIVE), tmp_path)
    assert failed(report) == set()
    assert sum(check.kind == "tamper" for check in report.checks) >= 15
    assert report.load_cpu_on_s > report.load_cpu_off_s > 0
    assert not (tmp_path / "scratch").exists()


def _weaken(root: Path) -> None:
    for name in (CONFIG, MODULE_CONFIG):
        text = (root / name).read_text()
        (root / name).write_text(text.replace("hmac-key-check = 1", "hmac-key-check = 0"))


def _forget_checks(root: Path) -> None:
    for name in (CONFIG, MODULE_CONFIG):
        text = (root / name).read_text()
        (root / name).write_text(text.replace("hmac-key-check = 1\n", "").replace("tls1-prf-ems-check = 1\n", ""))


def _strip_properties(root: Path) -> None:
    text = (root / CONFIG).read_text()
    (root / CONFIG).write_text(text.replace("default_properties = fips=yes\n", ""))


def _bring_md5(root: Path) -> None:
    """A pure Python module in the place of the built-in one that strict hashlib leaves out."""
    (library,) = (path for path in (root / "lib").glob("python3.*") if path.is_dir())
    (library / "_md5.py").write_text("def md5(data=b'', usedforsecurity=True):\n    return 'an MD5'\n")


def _catch_runtime_errors(root: Path) -> None:
    """What a well-meant patch to hashlib would do."""
    (library,) = (path for path in (root / "lib").glob("python3.*") if path.is_dir())
    path = library / "hashlib.py"
    path.write_text(path.read_text().replace("except ImportError", "except (ImportError, RuntimeError)"))


@needs_archive
@pytest.mark.parametrize(
    ("spoil", "found_by"),
    [
        (_weaken, "inside.mac.one-byte-key"),
        (_forget_checks, "files.checks"),
        (_forget_checks, "inside.tls.without-extended-master-secret"),
        (_strip_properties, "files.config"),
        (_bring_md5, "inside.builtin.md5"),
        (_catch_runtime_errors, "tamper.module.flipped-byte"),
        (lambda root: (root / "share/ssl/fips-enabled").touch(), "files.unmarked"),
    ],
)
def test_a_spoilt_archive_is_not_proven(spoil: Callable[[Path], None], found_by: str, tmp_path: Path) -> None:
    extract(Path(ARCHIVE), tmp_path / "tree", wanted=lambda member: not member.startswith("python/build/"))
    spoil(find_tree(tmp_path / "tree").root)
    write_tar(tmp_path / "spoilt.tar", entries_below(tmp_path / "tree", ""), epoch=0)
    report = proven(tmp_path / "spoilt.tar", tmp_path)
    assert found_by in failed(report)
