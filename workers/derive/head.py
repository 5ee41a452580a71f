"""What a full archive says of itself: its first three members, read without the rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from workers.errors import Failure
from workers.package.beside import BuildDocument, FipsDocument
from workers.package.python_json import PythonJson, decode
from workers.tarball import reading

_NAMES = ("python/PYTHON.json", "python/BUILD.json", "python/FIPS.json")


@dataclass(frozen=True)
class Head:
    """The documents of a full archive."""

    document: PythonJson
    build: BuildDocument
    fips: FipsDocument


def read_head(archive: Path) -> Head:
    """The documents. Raises Failure when the archive does not begin with them, or when one is of another kind."""
    found: dict[str, bytes] = {}
    with reading(archive) as tar:
        for member, content in tar:
            if member.path not in _NAMES or content is None:
                break
            found[member.path] = content
            if len(found) == len(_NAMES):
                break
    if set(found) != set(_NAMES):
        raise Failure(
            "derive",
            f"{archive.name} is no full archive of pymint",
            wanted=f"{', '.join(_NAMES)} before all else",
            found=", ".join(found) or "none of them",
            todo="Derive from what `package` or `archive` left.",
        )
    try:
        return Head(
            decode(found[_NAMES[0]]),
            msgspec.json.decode(found[_NAMES[1]], type=BuildDocument),
            msgspec.json.decode(found[_NAMES[2]], type=FipsDocument),
        )
    except (ValueError, RecursionError) as error:  # msgspec's own, bytes that are no UTF-8, endless nesting
        raise Failure(
            "derive",
            f"{archive.name} says of itself what this checkout does not understand",
            found=str(error),
            todo="It is another version's. Derive with the checkout that packed it.",
        ) from error
