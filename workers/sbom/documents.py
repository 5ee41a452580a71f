"""Both documents as files: their names, their bytes, and how a smaller flavour's are made from the full archive's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cyclonedx.model.bom import Bom
from cyclonedx.output.json import JsonV1Dot6

from workers.derive.layout import SBOM, TOP, Left, place
from workers.errors import Failure
from workers.model import Flavour
from workers.package.tree import INSTALL
from workers.sbom.bill import FLAVOUR, LICENCE_TEXT, PATH, serial_number
from workers.sbom.spdx import spdx
from workers.tarball import Entry, find

CYCLONEDX, SPDX = ".cdx.json", ".spdx.json"
# The largest seen has 0.1 MB.
_LARGEST = 10_000_000
_IN_ARCHIVE = re.compile(rf"^(?:{INSTALL}|{TOP}){SBOM}[^/]+$")
_NOTHING_LEFT_OUT = Left(frozenset(), ())


@dataclass(frozen=True)
class Documents:
    """The bytes of both."""

    cyclonedx: bytes
    spdx: bytes

    def entries(self, stem: str, install: str) -> list[Entry]:
        """As members `share/sbom/<stem>.cdx.json` and `….spdx.json` below `install` (which ends with '/')."""
        return [
            Entry(f"{install}{SBOM}{stem}{CYCLONEDX}", data=self.cyclonedx),
            Entry(f"{install}{SBOM}{stem}{SPDX}", data=self.spdx),
        ]


def stem_of(version: str, abi: str) -> str:
    """`cpython-3.13t`: as the interpreter's own name, so that two of them can share a prefix."""
    return f"cpython-{version}{abi}"


def documents(bom: Bom) -> Documents:
    """The same bill gives the same bytes."""
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    return Documents(text.encode() + b"\n", spdx(bom))


def for_flavour(full: bytes, archive: str, flavour: Flavour) -> Documents:
    """The documents of an archive that is made from the full one. full: its CycloneDX document; archive: the new name.

    The same is linked in all of them; what is said of places is moved as the files are.
    """
    found = json.loads(full)
    metadata = found["metadata"]
    said = {one["name"]: one["value"] for one in metadata["properties"]}
    found["serialNumber"] = serial_number(said["pymint:archive-key"], flavour).urn
    metadata["component"]["name"] = archive.partition(".tar.")[0]
    metadata["properties"] = [
        {**one, "value": flavour} if one["name"] == FLAVOUR else one for one in metadata["properties"]
    ]
    found["components"] = [_moved(component) for component in found["components"]]
    return documents(cast("Any", Bom).from_json(found))


def _moved(component: Mapping[str, Any]) -> dict[str, Any]:
    properties = []
    for one in component.get("properties", []):
        if one["name"] in (PATH, LICENCE_TEXT):
            path = place(f"{TOP}{one['value']}", _NOTHING_LEFT_OUT)
            if path is not None:
                properties.append({**one, "value": path})
        else:
            properties.append(one)
    return {**component, "properties": properties}


def find_in(tree: Path) -> tuple[str, bytes]:
    """The stem and the CycloneDX document of an unpacked full archive's tree. Raises Failure when it has not one."""
    found = sorted((tree / SBOM).glob(f"*{CYCLONEDX}"))
    if len(found) != 1:
        raise Failure(
            "derive",
            "the full archive has no bill of materials to derive from",
            wanted=f"one {SBOM}*{CYCLONEDX}",
            found=", ".join(path.name for path in found) or "none",
            todo="It is another version's. Derive with the checkout that packed it.",
        )
    return found[0].name.removesuffix(CYCLONEDX), found[0].read_bytes()


def inside(archive: Path) -> dict[str, bytes]:
    """The documents in a packed archive, by the ending of their names; empty for one that has none.

    Raises Failure when the archive is damaged.
    """
    found = find(archive, lambda path: _IN_ARCHIVE.match(path) is not None, limit=_LARGEST)
    endings = (CYCLONEDX, SPDX)
    return {ending: content for path, content in found.items() for ending in endings if path.endswith(ending)}
