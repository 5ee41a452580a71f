"""What makes a tested tree the same tree: what runs, and not which commit packed it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.validate_samples import document
from workers.suite.identity import read_contents
from workers.tarball import Entry, write_tar


def tree(directory: Path, **files: str) -> str:
    """The digest of an archive's tree of these files, where __ stands for a slash."""
    entries = [Entry(f"python/install/{name.replace('__', '/')}", data=text.encode()) for name, text in files.items()]
    entries.append(Entry("python/PYTHON.json", data=json.dumps(document()).encode()))
    write_tar(directory / "a.tar", entries, epoch=0)
    return read_contents(directory / "a.tar").tree_sha256


def test_another_byte_of_the_library_is_another_tree(tmp_path: Path) -> None:
    assert tree(tmp_path, lib__os="one") != tree(tmp_path, lib__os="two")


def test_a_bill_of_materials_which_names_the_commit_is_no_part_of_what_is_tested(tmp_path: Path) -> None:
    first, second = (tree(tmp_path, lib__os="one", share__sbom__x=commit) for commit in ("a" * 40, "b" * 40))
    assert first == second == tree(tmp_path, lib__os="one")
