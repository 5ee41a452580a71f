"""FIPS mode where operators run Python: in containers, read-only and moved trees, trees of another owner, venvs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.roots import Root
from workers.fips.running import Ran, run
from workers.fips.tampering import NotHere
from workers.fips.tree import Tree, tree_at
from workers.moved.building import copied
from workers.moved.places import read_only

pytestmark = [pytest.mark.real, pytest.mark.ci, pytest.mark.skipif(sys.platform != "linux", reason="Linux's own")]

SETUP = ("-m", "fips_setup")
SHA256 = "import hashlib; hashlib.sha256(); print('works')"


@pytest.fixture
def own(tree: Tree) -> Iterator[Tree]:
    """A tree of its own, where every user may go."""
    place = Path(tempfile.mkdtemp(prefix="operators-"))
    place.chmod(0o755)
    yield copied(tree, place / "python")
    shutil.rmtree(place)


def python_of(tree: Tree) -> Path:
    assert tree.python is not None
    return tree.python


def setup(tree: Tree, *arguments: str, **environment: str) -> Ran:
    return run(python_of(tree), [*SETUP, *arguments], environment)


def test_a_container_is_switched_on_while_it_is_made_and_asked_while_it_runs(bare_root: Root) -> None:
    """No shell, no /etc, no user but one; what a health check asks is answered by exit codes."""
    assert bare_root.run(*SETUP, "status", "--require", "on").code == 1
    assert bare_root.run(*SETUP, "enable").code == 0
    try:
        asked = bare_root.run(*SETUP, "status", "--require", "on", "--json")
        assert (asked.code, json.loads(asked.out)["fips"]) == (0, "on")
        assert bare_root.run(*SETUP, "status", "--require", "on", PYTHON_FIPS="0").code == 0
    finally:
        assert bare_root.run(*SETUP, "disable").code == 0
    assert bare_root.run(*SETUP, "status", "--require", "off").code == 0


def test_a_file_that_is_mounted_over_the_tree_switches_it_on(own: Tree) -> None:
    """As a container's configuration does, which also comes as a link."""
    own.marker.symlink_to("/nothing/there")
    assert setup(own, "status", "--require", "on").code == 0


def test_a_tree_that_is_on_stays_on_where_it_is_moved(own: Tree) -> None:
    assert setup(own, "enable").code == 0
    moved = tree_at(own.root.rename(own.root.with_name("anderswö")))
    asked = setup(moved, "status", "--require", "on", "--json")
    assert asked.code == 0, asked.err
    assert json.loads(asked.out)["asked_by"] == [str(moved.marker)]


def test_a_read_only_tree_says_what_to_do_and_is_switched_on_by_the_variable(own: Tree) -> None:
    try:
        way = read_only(own, own.root)
    except NotHere as reason:
        pytest.skip(str(reason))
    refused = run(way.program, [*way.before, *SETUP, "enable"], {"PATH": way.path})
    assert refused.code == 1
    assert "is on a read-only file system" in refused.err
    assert "PYTHON_FIPS=1" in refused.err
    on = run(way.program, [*way.before, *SETUP, "status", "--require", "on"], {"PATH": way.path, "PYTHON_FIPS": "1"})
    assert on.code == 0, on.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_who_does_not_own_the_tree_is_told_who_does_and_can_ask(own: Tree) -> None:
    def as_nobody(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(python_of(own)), *SETUP, *arguments]
        return subprocess.run(command, user=65534, group=65534, env={}, capture_output=True, text=True, check=False)

    refused = as_nobody("enable")
    assert refused.returncode == 1
    assert "belongs to root" in refused.stderr
    assert not own.marker.exists()
    assert as_nobody("status", "--require", "off").returncode == 0
    assert setup(own, "enable").code == 0
    assert as_nobody("status", "--require", "on").returncode == 0


def test_a_venv_says_whose_mode_it_switches(own: Tree, tmp_path: Path) -> None:
    for how in ("--symlinks", "--copies"):
        venv = tmp_path / how
        assert run(python_of(own), ["-m", "venv", "--without-pip", how, str(venv)]).code == 0
        enabled = run(venv / "bin" / "python", [*SETUP, "enable"])
        assert enabled.code == 0, enabled.err
        assert f"{venv} is a venv" in enabled.out
        assert str(own.root) in enabled.out
        assert setup(own, "status", "--require", "on").code == 0
        assert run(venv / "bin" / "python", [*SETUP, "disable"]).code == 0


def test_a_damaged_module_stops_programs_until_it_is_switched_off(own: Tree) -> None:
    """Cut short, so that its MAC, which is then computed in pure Python, takes no seconds."""
    assert setup(own, "enable").code == 0
    module = own.module
    assert module is not None
    data = module.read_bytes()
    module.unlink()  # the file has other names: a tree is copied by links
    module.write_bytes(data[: len(data) // 20])
    assert run(python_of(own), ["-c", SHA256]).out == ""
    asked = setup(own, "status")
    assert asked.code == 1
    assert f"{module.name} is not the module" in asked.out
    assert setup(own, "disable").code == 0
    assert run(python_of(own), ["-c", SHA256]).out == "works\n"
