"""`./mint` makes .venv once, makes a half-made one anew, and says what to do where it can't."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from master.cli import environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that wants only what every new .venv has, so that it is made in seconds and without an index."""
    here = tmp_path / "a checkout"
    (here / "master" / "cli").mkdir(parents=True)
    shutil.copy(ROOT / "mint", here)
    shutil.copy(ROOT / "master" / "cli" / "environment.py", here / "master" / "cli")
    (here / "master" / "cli" / "__main__.py").write_text("import os, sys\nprint(os.getcwd(), sys.argv[1:])\n")
    (here / "pyproject.toml").write_text('[project]\ndependencies = ["pip"]\n[dependency-groups]\ndev = []\n')
    (here / "constraints.txt").write_text("")
    return here


def run(checkout: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MINT_PYTHON": sys.executable, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more}
    return subprocess.run(
        [str(checkout / "mint"), *arguments], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )


def test_the_chosen_python_may_lie_below_a_name_with_a_space(checkout: Path, tmp_path: Path) -> None:
    chosen = tmp_path / "my pythons" / "python3"
    chosen.parent.mkdir()
    chosen.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    chosen.chmod(0o755)
    (checkout / "master" / "cli" / "environment.py").write_text(
        "from pathlib import Path\n"
        "made = Path(__file__).parents[2] / '.venv' / 'bin' / 'python'\n"
        "made.parent.mkdir(parents=True)\nmade.write_text('#!/bin/sh\\necho made\\n')\nmade.chmod(0o755)\n"
    )
    done = run(checkout, MINT_PYTHON=str(chosen))
    assert done.stdout == "made\n", done.stderr


def test_all_dependencies_are_installed_and_each_has_an_exact_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = environment.requirements(project)
    assert any(name.startswith("buildbot-worker") for name in wanted)
    assert any(name.startswith("pytest") for name in wanted)
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    for name in wanted:
        bare = name.replace("<", "=").replace(">", "=").partition("=")[0].partition("[")[0].strip().lower()
        assert bare in pinned, f"{bare} has no exact version in constraints.txt"


def test_a_venv_is_made_once_and_again_when_it_is_half_made_or_the_list_changed(checkout: Path) -> None:
    first = run(checkout, "build", "--x")
    assert first.returncode == 0, first.stderr
    assert "making the virtual environment" in first.stderr
    assert first.stdout.strip().endswith("['build', '--x']")
    assert run(checkout).stderr == "", "a second time there is nothing to do"

    (checkout / ".venv" / "pymint-stamp").unlink()  # what an interruption leaves
    (checkout / ".venv" / "left").write_text("")
    assert "making the virtual environment" in run(checkout).stderr
    assert not (checkout / ".venv" / "left").exists(), "made anew, not mended"

    (checkout / "constraints.txt").write_text("# newer\n")
    assert "the list of Python packages changed" in run(checkout).stderr
    assert run(checkout).stderr == ""


def test_two_at_once_make_one_venv(checkout: Path) -> None:
    both = [
        subprocess.Popen(
            [str(checkout / "mint")], env={**os.environ, "MINT_PYTHON": sys.executable}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert "".join(said).count("making the virtual environment") == 1


def test_packages_that_can_not_be_installed_end_it_with_pip_s_words_and_it_is_not_taken_for_whole(
    checkout: Path,
) -> None:
    (checkout / "pyproject.toml").write_text(
        '[project]\ndependencies = ["pymint-has-no-such-package"]\n[dependency-groups]\ndev = []\n'
    )
    failed = run(checkout, PIP_NO_INDEX="1")
    assert failed.returncode == 1
    assert "the Python packages could not be installed" in failed.stderr
    assert "pymint-has-no-such-package" in failed.stderr
    assert not (checkout / ".venv" / "pymint-stamp").exists()


def test_no_fitting_python_is_told_with_the_command_that_brings_one(checkout: Path, tmp_path: Path) -> None:
    failed = run(checkout, MINT_PYTHON=str(tmp_path / "no-python"))
    assert failed.returncode == 1
    assert "apt-get install python3 python3-venv" in failed.stderr
    assert "wanted  Python 3.11, 3.12 or 3.13" in failed.stderr
