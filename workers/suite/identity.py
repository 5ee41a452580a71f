"""What a result of the suite holds for: the tested tree, the data, and the programs that ran and judged it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from workers.errors import Failure
from workers.model import ROOT
from workers.package.python_json import decode
from workers.plan import digest_of_tree, key_of
from workers.reports.suite import Extent
from workers.suite.data import SUITE, Where
from workers.tarball import reading

INSTALL = "python/install/"
_DOCUMENT = "python/PYTHON.json"
_PROGRAMS = ("programs/test.py", "sandbox.py", "macos_sandbox.py", "enter_sandbox.py", "reports/suite.py")


@dataclass(frozen=True)
class Contents:
    """tree_sha256: over names, modes and bytes of all below python/install, so that no commit's date is in it."""

    tar_sha256: str
    tree_sha256: str
    where: Where


def read_contents(archive: Path) -> Contents:
    """Reads an archive once. Raises Failure when it is damaged, or is not a full one."""
    tree, document = hashlib.sha256(), None
    with reading(archive) as tar:
        for member, content in tar:
            if member.path == _DOCUMENT and content is not None:
                document = decode(content)
            elif member.path.startswith(INSTALL) and member.kind != "directory":
                digest = member.link if content is None else hashlib.sha256(content).hexdigest()
                tree.update(f"{member.path}\0{member.kind}\0{bool(member.mode & 0o100)}\0{digest}\n".encode())
        tar.finish()
    if document is None:
        raise Failure(
            "test-suite", f"{archive.name} can't be tested", wanted=f"{_DOCUMENT} of a full archive",
            found=f"no {_DOCUMENT}", todo="Name the full archive: the others have no tests in them.",
        )  # fmt: skip
    where = Where(
        version=document.python_major_minor_version,
        release=document.python_version,
        target=document.target_triple,
        variant=document.build_options or document.optimizations,
    )
    return Contents(tar.sha256, tree.hexdigest(), where)


def key(contents: Contents, extent: Extent) -> str:
    """Under which a passed run is stored. Not the commit: a tree of the same bytes behaves the same."""
    programs = [path for path in (ROOT / "workers" / "suite").rglob("*") if path.suffix in {".py", ".html"}]
    programs += [ROOT / "workers" / name for name in _PROGRAMS]
    return key_of(
        {
            "suite": contents.tree_sha256,
            "where": asdict(contents.where),
            "extent": extent,
            "data": digest_of_tree(SUITE.glob("*.toml"), ROOT),
            "programs": digest_of_tree(programs, ROOT),
        }
    )
