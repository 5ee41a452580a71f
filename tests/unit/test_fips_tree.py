"""Trees: finding one in an unpacked archive, copies to tamper with, running what is in it with a clean environment."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from workers.fips import running
from workers.fips.running import run
from workers.fips.tampering import _PLAIN, TAMPERINGS, NotHere, _problem
from workers.fips.tree import find_tree, link_tree, read_document, tree_at


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "unpacked/python/install"
    for name in (
        "bin/python3.13",
        "bin/python3.13-config",
        "lib/libpython3.13.so.1.0",
        "lib/python3.13/os.py",
        "lib/python3.13/json/__init__.py",
        "lib/python3.13/lib-dynload/_hashlib.so",
        "share/ssl/openssl-fips.cnf",
        "share/ssl/ossl-modules/fips.so",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"contents of " + name.encode() + bytes(64))
    (root / "bin/python3").symlink_to("python3.13")
    return root


@pytest.mark.parametrize("layout", ["python/install", "python", "."])
def test_a_tree_is_found_in_every_flavour(tmp_path: Path, layout: str) -> None:
    (tmp_path / layout / "bin").mkdir(parents=True)
    (tmp_path / layout / "bin/python3.14t").touch()
    tree = find_tree(tmp_path)
    assert tree.python == tmp_path / layout / "bin/python3.14t"


def test_a_config_script_is_no_interpreter(root: Path) -> None:
    assert tree_at(root).python == root / "bin/python3.13"
    (root / "bin/python3.13").unlink()
    assert tree_at(root).python is None


def test_a_copy_has_its_own_fips_files_and_the_code_under_its_own_path(root: Path, tmp_path: Path) -> None:
    copy = link_tree(tree_at(root), tmp_path / "copy")
    for name in ("bin/python3.13", "lib/libpython3.13.so.1.0", "lib/python3.13/lib-dynload/_hashlib.so"):
        assert (copy.root / name).resolve() == (tmp_path / "copy").resolve() / name
        assert (copy.root / name).samefile(root / name)
    assert (copy.root / "lib/python3.13/json").is_symlink()
    assert copy.module is not None
    copy.module.write_bytes(b"tampered with")
    assert (root / "share/ssl/ossl-modules/fips.so").read_bytes().startswith(b"contents of")


@pytest.mark.parametrize(
    "tampering", [t for t in TAMPERINGS if t.id.startswith("module.") and t.id != "module.stripped"], ids=lambda t: t.id
)
def test_each_tampering_changes_the_module_and_nothing_of_the_original(root: Path, tmp_path: Path, tampering) -> None:  # type: ignore[no-untyped-def]
    copy = link_tree(tree_at(root), tmp_path / "copy")
    assert copy.module is not None
    before = copy.module.read_bytes()
    tampering.apply(copy)
    assert copy.module is None or copy.module.read_bytes() != before
    assert (root / "share/ssl/ossl-modules/fips.so").read_bytes() == before


def test_an_archive_without_a_module_has_nothing_to_tamper_with(root: Path, tmp_path: Path) -> None:
    (root / "share/ssl/ossl-modules/fips.so").unlink()
    copy = link_tree(tree_at(root), tmp_path / "copy")
    with pytest.raises(NotHere):
        TAMPERINGS[0].apply(copy)


def test_the_environment_is_what_the_check_puts_there_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_FIPS", "1")
    ran = run(Path(sys.executable), ["-c", "import os, json; print(json.dumps(dict(os.environ)))"], {"ONE": "1"})
    seen = json.loads(ran.out)
    assert seen.pop("ONE") == "1"
    assert set(seen) <= {"LC_CTYPE"}


def test_a_program_that_can_not_be_started_is_an_answer(tmp_path: Path) -> None:
    (tmp_path / "python3.13").write_bytes(b"\x7fELF of another machine")
    (tmp_path / "python3.13").chmod(0o755)
    ran = run(tmp_path / "python3.13", ["-c", "pass"])
    assert ran.code is None
    assert "can't be started" in ran.last


def test_a_program_that_does_not_end_is_ended() -> None:
    ran = run(Path("/bin/sh"), ["-c", "sleep 60"], {"PATH": os.defpath}, timeout_s=0.2)
    assert ran.code is None
    assert "no answer within" in ran.last


def test_of_a_program_that_writes_without_end_nothing_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MOST_SAID", 1_000_000)
    write = "import sys; sys.stdout.write('a' * %d)"
    wrote = [run(Path(sys.executable), ["-c", write % count]) for count in (10**6, 10**6 + 1)]
    assert [(one.code, len(one.out)) for one in wrote] == [(0, 10**6), (None, 0)]
    assert wrote[1].last == "it wrote 1.0 MB: more than the 1.0 MB that are read"


def test_what_a_program_leaves_running_is_ended_with_it() -> None:
    ran = run(Path("/bin/sh"), ["-c", "sleep 300 >&- 2>&- & echo $!"], {"PATH": os.defpath})
    assert ran.code == 0
    left = Path("/proc", ran.out.strip(), "stat")
    if not left.parent.parent.is_dir():
        pytest.skip("no /proc to see processes in")
    deadline = time.monotonic() + 30
    while left.exists() and left.read_text().rpartition(") ")[2][0] != "Z" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left.exists() or left.read_text().rpartition(") ")[2][0] == "Z", "it lives on"


def test_facts_that_are_no_text_are_none(tmp_path: Path) -> None:
    (tmp_path / "python").mkdir()
    (tmp_path / "python/FIPS.json").write_bytes(b'{"schema": "\xff"}')
    assert read_document(tmp_path) is None


def test_cpu_time_is_that_of_the_process() -> None:
    ran = run(Path(sys.executable), ["-I", "-S", "-c", "sum(range(3_000_000))"])
    assert ran.cpu_s > 0.01


REFUSED = "import sys; sys.exit('RuntimeError: FIPS mode was asked for, but')"


@pytest.mark.parametrize(
    ("plain", "stubborn", "problem"),
    [
        (REFUSED, "import sys; print('{\"got\": []}'); sys.exit(1)", None),
        (_PLAIN, "import sys; print('{\"got\": []}'); sys.exit(1)", "MD5 works"),
        ("pass", "import sys; print('{\"got\": []}'); sys.exit(1)", "exit code 0"),
        ("raise ImportError", "import sys; print('{\"got\": []}'); sys.exit(1)", "not refused with RuntimeError"),
        (REFUSED, 'import sys; print(\'{"got": ["import ssl"]}\')', "works all the same: import ssl"),
        (REFUSED, "raise SystemExit(1)", "exit code 1"),
    ],
)
def test_only_a_plain_refusal_of_everything_is_a_refusal(plain: str, stubborn: str, problem: str | None) -> None:
    python = Path(sys.executable)
    found = _problem(run(python, ["-I", "-c", plain]), run(python, ["-I", "-c", stubborn]))
    assert found is None if problem is None else found is not None and problem in found
