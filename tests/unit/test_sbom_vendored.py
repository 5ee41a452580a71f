"""What CPython's source carries of others: read from its own list, and taken where the archive has it."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from workers.errors import Failure
from workers.package.tree import Output
from workers.sbom.gather import linkage
from workers.sbom.vendored import bundled, parse_list, read_list, shipped

STDLIB = "install/lib/python3.13"


def listed(**packages: list[str]) -> bytes:
    """A list of packages with their files, as CPython's Misc/sbom.spdx.json has them."""
    names = [name for files in packages.values() for name in files]
    document: dict[str, Any] = {
        "spdxVersion": "SPDX-2.3",
        "files": [{"SPDXID": f"SPDXRef-FILE-{n}", "fileName": name, "checksums": []} for n, name in enumerate(names)],
        "packages": [
            {
                "SPDXID": f"SPDXRef-PACKAGE-{package}",
                "name": package,
                "versionInfo": "1.0",
                "downloadLocation": f"https://example.org/{package}.tar.gz",
                "checksums": [{"algorithm": "SHA256", "checksumValue": "0" * 64}],
                "externalRefs": [
                    {
                        "referenceCategory": "SECURITY",
                        "referenceType": "cpe23Type",
                        "referenceLocator": f"cpe:2.3:a:x:{package}:1.0:*:*:*:*:*:*:*",
                    }
                ],
                "licenseConcluded": "NOASSERTION",
            }
            for package in packages
        ],
        "relationships": [
            {
                "spdxElementId": f"SPDXRef-PACKAGE-{package}",
                "relationshipType": "CONTAINS",
                "relatedSpdxElement": f"SPDXRef-FILE-{names.index(name)}",
            }
            for package, files in packages.items()
            for name in files
        ],
    }
    return json.dumps(document).encode()


LIST = listed(
    libb2=["Modules/_blake2/impl/blake2b.c"],
    hacl=["Modules/_hacl/Hacl_Hash_SHA2.c"],
    macholib=["Lib/ctypes/macholib/dyld.py"],
    expat=["Modules/expat/xmlparse.c"],
    gone=["Lib/gone.py"],
)
PATHS = [
    "build/Modules/_blake2/blake2module.o",
    "build/Modules/zlibmodule.o",
    "build/Modules/pyexpat.o",
    f"{STDLIB}/ctypes/macholib/dyld.py",
]


def source(directory: Path, **files: bytes) -> Path:
    path = directory / "Python-3.13.15.tar.xz"
    with tarfile.open(path, "w:xz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(f"Python-3.13.15/{name.replace('__', '/')}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_the_list_is_read_from_the_tarball(tmp_path: Path) -> None:
    found = read_list(source(tmp_path, **{"README": b"", "Misc__sbom.spdx.json": LIST, "setup.py": b""}))
    assert found is not None
    first = found[0]
    assert (first.name, first.version, first.sha256) == ("libb2", "1.0", "0" * 64)
    assert first.cpe == "cpe:2.3:a:x:libb2:1.0:*:*:*:*:*:*:*"
    assert first.files == ("Modules/_blake2/impl/blake2b.c",)


def test_a_source_without_a_list_is_told_from_one_with_an_empty_one(tmp_path: Path) -> None:
    assert read_list(source(tmp_path, README=b"")) is None
    assert read_list(source(tmp_path, **{"Misc__sbom.spdx.json": listed()})) == []


def test_a_list_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"is not what it was in other releases"):
        read_list(source(tmp_path, **{"Misc__sbom.spdx.json": b'{"spdxVersion": "SPDX-3.0"}'}))


def test_taken_is_what_the_archive_has_of_it() -> None:
    kept, left = shipped(parse_list(LIST), PATHS, STDLIB, {"expat"})
    assert [one.name for one in kept] == ["libb2", "macholib"]
    assert left == {
        "expat": "a library of its own is linked",
        "gone": "of a module that is not built",
        "hacl": "of a module that is not built",
    }


def test_objects_of_cpythons_own_beside_it_say_nothing_of_it() -> None:
    """expat's folder is in Modules, where every module has its object."""
    kept, _ = shipped(parse_list(LIST), PATHS, STDLIB, ())
    assert "expat" not in {one.name for one in kept}


def test_code_in_a_folder_of_its_own_is_found_by_its_objects() -> None:
    kept, _ = shipped(parse_list(LIST), [*PATHS, "build/Modules/_hacl/Hacl_Hash_Blake2b.o"], STDLIB, ())
    assert "hacl" in {one.name for one in kept}


def test_wheels_of_ensurepip_say_what_they_are(tmp_path: Path) -> None:
    wheel = tmp_path / "pip-26.2.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        opened.writestr("pip-26.2.1.dist-info/METADATA", "Metadata-Version: 2.4\nName: pip\nLicense-Expression: MIT\n")
    broken = tmp_path / "setuptools-65.5.0-py3-none-any.whl"
    broken.write_bytes(b"no zip")
    folder = f"{STDLIB}/ensurepip/_bundled"
    found = bundled({f"{folder}/{wheel.name}": wheel, f"{folder}/{broken.name}": broken, f"{STDLIB}/os.py": wheel})
    assert [(one.name, one.version, one.licence) for one in found] == [
        ("pip", "26.2.1", "MIT"),
        ("setuptools", "65.5.0", None),
    ]


def test_how_a_library_got_in_is_seen_from_its_files(tmp_path: Path) -> None:
    for node, files in {
        "zlib": ["lib/libz.a"],
        "tcl": ["lib/libtcl8.6.so", "lib/libtclstub8.6.a"],
        "libcrypt": ["lib/libcrypt.so"],
        "xorgproto": ["include/X11/X.h"],
        "fips-provider": ["ossl-modules/fips.so"],
    }.items():
        for name in files:
            path = tmp_path / node / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

    paths = frozenset({"install/lib/libtcl8.6.so", "build/lib/libz.a", "build/lib/libtclstub8.6.a"})

    def of(node: str) -> tuple[str, tuple[str, ...]]:
        return linkage(Output(node, tmp_path / node, {}), paths)

    assert of("zlib") == ("static", ())
    assert of("tcl") == ("shared", ("install/lib/libtcl8.6.so",))
    assert of("libcrypt") == ("compiled in", ()), "a stub to link with is not in the archive"
    assert of("xorgproto") == ("compiled in", ())
    assert of("fips-provider") == ("module", ())
