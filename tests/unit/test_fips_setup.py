"""fips_setup, which ships in every archive: its MAC without OpenSSL, and that what did not work is undone."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fips_setup import __main__ as command
from fips_setup import actions, mac
from fips_setup.child import Answer, ask, problem_off, problem_on
from fips_setup.config import CHECKS, checks_of, difference, module_config, settings_of, whole_config, with_mac
from fips_setup.mac import module_mac, sha256_in_python
from fips_setup.places import Refused, Tree, tree_of
from fips_setup.process import files_in_maps, version_in
from fips_setup.status import check_config, check_mac

from workers.fips import config
from workers.fips.setup import USES, try_use
from workers.fips.tampering import NotHere
from workers.fips.tree import tree_at

MODULE = b"the bytes of a module"
SETTINGS = {"activate": "1", "module-mac": config.module_mac(MODULE), "security-checks": "1", "hmac-key-check": "1"}
OFF = Answer(md5=True, sha256=True)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "python")
    tree.module.parent.mkdir(parents=True)
    tree.module.write_bytes(MODULE)
    tree.module_config.write_text(module_config(SETTINGS))
    tree.config.write_text(whole_config(SETTINGS))
    return tree


def answering(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
    monkeypatch.setattr(actions, "ask", lambda tree, variable=False: answer)


def on(tree: Tree) -> Answer:
    return Answer(["OpenSSL FIPS Provider", "3.5.7", "3.5.7", str(tree.module)], 1, False, True)


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000])
def test_sha256_in_python_is_sha256(size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    assert sha256_in_python(data) == hashlib.sha256(data).digest()


def test_the_mac_is_told_where_hashlib_can_not_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mac, "why_no_hashes", lambda: "loading the module ended a process with -7")
    monkeypatch.setitem(sys.modules, "hashlib", None)
    assert module_mac(MODULE) == config.module_mac(MODULE)


def test_the_files_are_those_that_the_build_makes() -> None:
    assert whole_config(SETTINGS) == config.self_contained(module_config(SETTINGS))
    assert settings_of(whole_config(SETTINGS)) == config.parse_fipsmodule(module_config(SETTINGS)) == SETTINGS


def test_notes_of_another_machine_are_dropped_and_checks_kept() -> None:
    found = with_mac({**SETTINGS, "install-status": "x", "module": "/x/fips.so"}, "BB")
    assert found == {**SETTINGS, "module-mac": "BB"}
    with pytest.raises(Refused, match="which checks"):
        with_mac({"activate": "1"}, "BB")


def test_enable_leaves_no_marker_where_fips_mode_does_not_work(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, Answer(error="RuntimeError: self test post failure"))
    with pytest.raises(Refused, match="self test post failure"):
        actions.enable(tree)
    assert not tree.marked()
    answering(monkeypatch, on(tree))
    actions.enable(tree)
    assert tree.marked()


def test_disable_puts_the_marker_back_where_fips_mode_stays_on(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.marker.touch()
    answering(monkeypatch, on(tree))
    with pytest.raises(Refused, match="put back"):
        actions.disable(tree)
    assert tree.marked()
    answering(monkeypatch, OFF)
    actions.disable(tree)
    assert not tree.marked()


def test_install_writes_the_new_mac_and_puts_the_old_files_back(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree.config.read_bytes()
    tree.module.write_bytes(MODULE + b"\0")
    answering(monkeypatch, Answer(error="no"))
    with pytest.raises(Refused, match="put back"):
        actions.install(tree)
    assert tree.config.read_bytes() == before
    answering(monkeypatch, on(tree))
    actions.install(tree)
    assert check_mac(tree) == check_config(tree) == "right"


@pytest.mark.parametrize("cut_off", ["module_config", "config"])
def test_install_drops_no_check_that_one_of_the_files_has(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, cut_off: str
) -> None:
    path: Path = getattr(tree, cut_off)
    path.write_text(path.read_text().replace("hmac-key-check = 1\n", ""))
    answering(monkeypatch, on(tree))
    actions.install(tree)
    assert settings_of(tree.config.read_text())["hmac-key-check"] == "1"
    assert check_mac(tree) == check_config(tree) == "right"


def test_disable_takes_away_a_marker_that_is_a_directory_or_leaves_it(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, OFF)
    (tree.marker / "in it").mkdir(parents=True)
    with pytest.raises(Refused, match="something in it"):
        actions.disable(tree)
    assert tree.marked()
    (tree.marker / "in it").rmdir()
    actions.disable(tree)
    assert sorted(path.name for path in tree.ssl.iterdir()) == ["fipsmodule.cnf", "openssl-fips.cnf", "ossl-modules"]


def test_a_check_that_both_files_leave_out_is_said_and_install_turns_it_on(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.module.write_bytes(MODULE + b"\0hmac-key-check\0security-checks\0no-short-mac\0")
    answering(monkeypatch, on(tree))
    few = {**SETTINGS, "module-mac": config.module_mac(tree.module.read_bytes())}
    tree.module_config.write_text(module_config(few))
    tree.config.write_text(whole_config(few))
    assert check_config(tree) == "fipsmodule.cnf: the module knows checks that are not on: no-short-mac"
    actions.install(tree)
    assert settings_of(tree.config.read_text())["no-short-mac"] == "1"
    assert check_config(tree) == "right"


def test_the_checks_are_those_that_the_proof_wants() -> None:
    module = b"".join(f"{name}\0".encode() for name in CHECKS)
    assert set(checks_of(module)) == config.checks_of(module) == set(CHECKS)
    assert checks_of(module.replace(b"hmac-key-check", b"")) == []


def test_two_at_once_end_alike(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    marked = iter([False, True, True, False])
    monkeypatch.setattr(Tree, "marked", lambda _: next(marked))
    answering(monkeypatch, on(tree))
    tree.marker.touch()
    assert "already" in actions.enable(tree)
    tree.marker.unlink()
    answering(monkeypatch, OFF)
    assert "already" in actions.disable(tree)


def test_what_disable_advises_does_not_turn_it_on(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    tree.marker.touch()
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(Refused) as refused:
        actions.disable(tree)
    assert "still on" in refused.value.todo
    assert "PYTHON_FIPS" not in refused.value.todo


SHOWING = """
import sys
sys.path.insert(0, sys.argv[1])
from fips_setup import __main__ as command
from fips_setup.status import Status
found = Status("on", [], "/a/pl\u00e4ce", None, "python3", None, None, "fips.so", "right", "right", [])
command.tree_of, command.status = lambda _: None, lambda *_, **__: found
sys.argv[1:] = ["status", "--require", sys.argv[2]]
sys.exit(command.main())
"""


def shown(required: str, stdout: int) -> subprocess.CompletedProcess[bytes]:
    command_line = [sys.executable, "-c", SHOWING, str(Path(command.__file__).parent.parent), required]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    return subprocess.run(command_line, stdout=stdout, stderr=subprocess.PIPE, env=environment, check=False)


@pytest.mark.parametrize(("required", "code"), [("on", 0), ("off", 1)])
def test_a_status_whose_reader_has_seen_enough_ends_with_what_it_found(required: str, code: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = shown(required, writing)
    finally:
        os.close(writing)
    assert (ran.returncode, b"ipe" in ran.stderr) == (code, False), ran.stderr


def test_a_status_is_shown_at_a_terminal_without_the_letters_of_the_path() -> None:
    ran = shown("on", subprocess.PIPE)
    assert ran.returncode == 0, ran.stderr
    assert rb"/a/pl\xe4ce" in ran.stdout


def test_a_missing_module_is_said(tree: Tree) -> None:
    tree.module.unlink()
    with pytest.raises(Refused, match="no FIPS module"):
        actions.enable(tree)


def test_status_finds_another_module_and_another_config(tree: Tree) -> None:
    assert check_mac(tree) == check_config(tree) == "right"
    tree.module.write_bytes(b"another")
    tree.config.write_text(tree.config.read_text().replace("hmac-key-check = 1\n", ""))
    assert "is not the module" in check_mac(tree)
    assert check_config(tree) == "openssl-fips.cnf: missing: hmac-key-check = 1"
    assert difference(whole_config(SETTINGS), SETTINGS) is None


def test_a_venv_of_copies_belongs_to_its_tree(tree: Tree, tmp_path: Path) -> None:
    (tree.root / "bin").mkdir()
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/pyvenv.cfg").write_text(f"home = {tree.root / 'bin'}\n")
    assert tree_of(tmp_path / "venv/bin/python3").root == tree.root.resolve()
    with pytest.raises(Refused, match="no FIPS mode"):
        tree_of(tmp_path / "elsewhere/bin/python3")


def test_only_the_trees_own_provider_is_fips_mode(tree: Tree, tmp_path: Path) -> None:
    assert problem_on(on(tree), tree) is None
    assert problem_on(OFF, tree) == "no FIPS provider serves"
    assert problem_off(OFF) is None
    assert problem_off(on(tree)) is not None
    other = Answer(["n", "v", "b", str(tmp_path / "fips.so")], 1, False, True)
    assert "not" in (problem_on(other, tree) or "")


def test_what_else_an_interpreter_prints_when_it_starts_is_no_answer(tree: Tree) -> None:
    python = tree.python
    (tree.root / "bin").mkdir()
    chatty = tree.root / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"
    chatty.write_text(f'#!/bin/sh\necho "a .pth file greets"\nexec {python} "$@"\n')
    chatty.chmod(0o755)
    assert ask(tree).error == "AttributeError: module '_hashlib' has no attribute 'fips_provider'"


def test_a_file_that_can_not_be_read_is_named(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.config.unlink()
    tree.config.mkdir()
    monkeypatch.setattr(command, "tree_of", lambda code: tree)
    monkeypatch.setattr(sys, "argv", ["fips_setup", "install"])
    assert command.main() == 1
    assert capsys.readouterr().err == f"fips_setup: {tree.config}: Is a directory\n"


def test_a_libcrypto_is_found_by_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "one.so").write_bytes(b"\0OpenSSL 4.0.3 29 Sep 2026\0")
    (tmp_path / "two.so").write_bytes(b"\0needs OpenSSL 3.0 or newer\0")
    assert version_in(str(tmp_path / "one.so")) == "OpenSSL 4.0.3 29 Sep 2026"
    assert version_in(str(tmp_path / "two.so")) is None
    maps = "1-2 r-xp 0 08:01 5 /a b/x.so\n2-3 rw-p 0 08:01 5 /a b/y.so\n3-4 r-xp 0 00:00 0 [vdso]\n"
    assert files_in_maps(maps) == ["/a b/x.so"]


def test_an_archive_of_ours_without_fips_setup_is_not_proven(tree: Tree) -> None:
    python = tree.root / "bin/python3.13"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho 'No module named fips_setup' >&2\nexit 1\n")
    python.chmod(0o755)
    assert not any(try_use(tree_at(tree.root), use).ok for use in USES)
    tree.config.unlink()
    with pytest.raises(NotHere):
        try_use(tree_at(tree.root), USES[0])
