"""The documents say what the code does: each part that can speak in an error, each command, each file."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from master.cli.__main__ import COMMANDS
from workers.modules import load_modules

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


# What makes an error that people read.
ERRORS = ("Failure", "Unreachable", "Refused", "unknown_name")
# Errors whose speaker is a value: which file, and the words that it can be. Empty: what another said, or the name of
# the step, which docs/architecture.md lists.
VALUES: dict[str, tuple[str, ...]] = {
    "workers/errors.py": (),
    "master/cli/emulation.py": (),
    "steps/program.py": (),
    "steps/transfer.py": ("upload",),
    "master/cli/daemons.py": ("master", "worker"),
    "master/cli/starting.py": ("master", "worker"),
    "master/cli/service.py": ("master", "worker"),
    "master/bucket/client.py": ("publish", "store"),
    "master/database.py": ("release", "signing"),
    "master/machine.py": ("mint", "release", "signing", "store", "retention"),
    "master/github/credentials.py": ("github", "publish"),
}
# Where what is called Refused is no error that is printed: a candidate that is not taken, an answer to a web hook.
REFUSALS = ("workers/updates/taking.py", "master/github/events.py", "master/github/hook.py")
# What the founding document's own troubleshooting lists, by a word that people search for.
OF_THE_SEED = (
    "ImageNotFound", "musl", "enable-fips", "install_fips", "fipsmodule.cnf", "runner", "50 GB", "dry run", "conflict",
)  # fmt: skip


def errors() -> list[tuple[str, ast.expr | None]]:
    """The file and the first argument of every error that is made."""
    return [
        (path.relative_to(ROOT).as_posix(), node.args[0] if node.args else None)
        for room in ("workers", "steps", "master")
        for path in (ROOT / room).rglob("*.py")
        if path.relative_to(ROOT).as_posix() not in REFUSALS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS
    ]


def speakers() -> set[str]:
    """The words before the colon of every error."""
    found = {word for words in VALUES.values() for word in words}
    for path, first in errors():
        if isinstance(first, ast.Constant):
            found.add(str(first.value).partition(":")[0])
        elif isinstance(first, ast.JoinedStr) and isinstance(first.values[0], ast.Constant):
            found.add(str(first.values[0].value).partition(":")[0])
        else:
            assert path in VALUES, f"{path}: who speaks in this error? Say it in plain text, or in VALUES"
    return found


def test_what_the_founding_document_lists_is_in_the_troubleshooting() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert [word for word in OF_THE_SEED if word not in text] == []


def test_every_part_that_speaks_in_an_error_is_in_the_troubleshooting() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    known = set(re.findall(r"`([^`]+)`", "\n".join(line for line in text.splitlines() if line.startswith("| `"))))
    named = {word.strip("`") for line in text.splitlines() if line.startswith("### ") for word in line.split()[1:2]}
    assert len(speakers()) > 20
    assert speakers() - known - {word.rstrip(":") for word in named} == set()


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if f"./mint {name}" not in text] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_points_to_is_there(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_names_only_commands_that_exist(document: Path) -> None:
    named = set(re.findall(r"\./mint ([a-z]+)", document.read_text()))
    assert named <= set(COMMANDS)


def test_every_module_that_is_left_out_or_shared_is_in_the_archives_docs() -> None:
    """Tests of CPython's own are named together."""
    text = (ROOT / "docs" / "archives.md").read_text()
    modules = {name: module for name, module in load_modules().items() if module.off is not None or module.shared}
    named = {name for name in modules if f"`{name}`" in text}
    assert {name for name in modules.keys() - named if "_test" not in name} == set()
    assert {"_md5", "_tkinter", "_dbm", "_crypt"} <= named
