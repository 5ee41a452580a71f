"""How pip and setuptools get into site-packages: recorded truthfully, the same every time."""

from __future__ import annotations

import csv
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from workers.model import DATA

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
INFO = "tool-1.0.dist-info"


@pytest.fixture(scope="module")
def wheels() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wheels", DATA / "finish" / "wheels.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An empty tree, and beside it the files of a wheel with a command `pip`."""
    files = {
        "tool/__init__.py": "def main():\n    return 3\n",
        f"{INFO}/entry_points.txt": "[console_scripts]\npip = tool:main\n\n[other]\nx = y:z\n",
        f"{INFO}/RECORD": f"tool/__init__.py,sha256=wrong,1\n{INFO}/entry_points.txt,,\n{INFO}/RECORD,,\n",
    }
    for name, text in files.items():
        path = tmp_path / "wheel" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "install" / "bin").mkdir(parents=True)
    (tmp_path / "install" / "lib" / "site-packages").mkdir(parents=True)
    return tmp_path / "install"


def installed(wheels: ModuleType, tree: Path) -> Path:
    site, binaries = tree / "lib" / "site-packages", tree / "bin"
    wheels.install(tree.parent / "wheel", site, binaries)
    (site / INFO / "RECORD").write_text(wheels.record(site / INFO, binaries))
    return site


def test_every_file_is_recorded_as_it_is_and_no_other(wheels: ModuleType, tree: Path) -> None:
    site = installed(wheels, tree)
    rows = {name: (digest, size) for name, digest, size in csv.reader((site / INFO / "RECORD").open(newline=""))}

    there = {path for path in tree.rglob("*") if path.is_file()}
    assert {(site / name).resolve() for name in rows} == there
    assert rows.pop(f"{INFO}/RECORD") == ("", "")
    for name, recorded in rows.items():
        assert recorded == (wheels.digest(site / name), str((site / name).stat().st_size)), name
    assert list(rows) == sorted(rows)


def test_the_commands_have_the_names_that_pip_gives_itself_and_start_this_trees_interpreter(
    wheels: ModuleType, tree: Path
) -> None:
    installed(wheels, tree)

    assert sorted(path.name for path in (tree / "bin").iterdir()) == ["pip", f"pip{MINOR}"]
    script = (tree / "bin" / "pip").read_text()
    assert script.startswith(f"#!/install/bin/python{MINOR}\n")
    assert (tree / "bin" / "pip").stat().st_mode & 0o777 == 0o755
    command = [sys.executable, "-B", str(tree / "bin" / "pip")]
    ran = subprocess.run(command, env={"PYTHONPATH": str(tree / "lib" / "site-packages")}, check=False)
    assert ran.returncode == 3


def test_the_first_line_that_relocation_gives_a_script_is_in_the_record(wheels: ModuleType, tree: Path) -> None:
    site = installed(wheels, tree)
    before = (site / INFO / "RECORD").read_text()
    script = tree / "bin" / "pip"
    script.write_text(script.read_text().replace(f"#!/install/bin/python{MINOR}", "#!/bin/sh"))

    after = wheels.record(site / INFO, tree / "bin")

    assert wheels.digest(script) in after
    assert wheels.digest(script) not in before


def test_a_recorded_file_that_is_gone_is_named(wheels: ModuleType, tree: Path) -> None:
    site = installed(wheels, tree)
    (site / "tool" / "__init__.py").unlink()

    with pytest.raises(SystemExit, match=re.escape("lists tool/__init__.py, which is not there")):
        wheels.record(site / INFO, tree / "bin")


def test_a_wheel_with_files_for_other_places_is_refused(wheels: ModuleType, tree: Path) -> None:
    (tree.parent / "wheel" / "tool-1.0.data").mkdir()

    with pytest.raises(SystemExit, match="files for other places than site-packages"):
        wheels.install(tree.parent / "wheel", tree / "lib" / "site-packages", tree / "bin")
