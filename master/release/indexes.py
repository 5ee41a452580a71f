"""The files that tools read: SHA256SUMS, uv's list of downloads, versions.ndjson, and fragments of configuration.

Pure functions of a plan, and of the same file of the release before where older versions have to stay in it. What the
tools want of them was read in their sources: uv's `fetch-download-metadata.py` and
`downloads.rs`, rules_python's `pbs_manifest.bzl` and `python.bzl`, Pants' `python_build_standalone/rules.py`, hatch's
page about custom distributions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from master.release.address import page_of
from master.release.model import Asset, Plan, ReleasedCell
from workers.model import Flavour

# What `UV_PYTHON_INSTALL_MIRROR` puts the mirror's address in place of (uv refuses any other when it is set).
CANONICAL = "https://github.com/astral-sh/python-build-standalone/releases/download"
UV_OWN = "uv-downloads.json"
UV_MIRROR = "uv-downloads-mirror.json"
VERSIONS = "versions.ndjson"
LATEST = "latest-release.json"
BAZEL = "rules_python.MODULE.bazel"
PANTS = "pants.toml"
# What people install: the smallest first.
INSTALLED: tuple[Flavour, ...] = ("install_only_stripped", "install_only", "full")
_NAME = re.compile(r"\Acpython-(?P<version>[^+]+)\+\d+-(?P<rest>.+)\.tar\.(?P<form>gz|zst)\Z")
_PRERELEASE = re.compile(r"\A(\d+)((?:a|b|rc)\d+)?\Z")


@dataclass(frozen=True)
class Platform:
    """A target as others call it. os, arch, libc: uv's words; pants: Pants'."""

    os: str
    arch: str
    libc: str
    pants: str


def platform(triple: str) -> Platform:
    arch, apple = triple.partition("-")[0], "-apple-" in triple
    pants = f"{'macos' if apple else 'linux'}_{ {'aarch64': 'arm64'}.get(arch, arch) }"
    return Platform("darwin" if apple else "linux", arch, "none" if apple else triple.rpartition("-")[2], pants)


def sums(assets: Iterable[Asset]) -> bytes:
    """SHA256SUMS: a line a file, by name."""
    return "".join(f"{one.sha256}  {one.name}\n" for one in sorted(assets, key=lambda one: one.name)).encode()


def address(base: str, name: str) -> str:
    """The URL of a file. `+` is escaped: that is how uv and Pants expect it."""
    return f"{base}/{quote(name)}"


def installed(plan: Plan, cell: ReleasedCell) -> Asset:
    """What people install of a cell."""
    name = next(cell.archives[flavour] for flavour in INSTALLED if flavour in cell.archives)
    found = plan.asset(name)
    if found is None:
        raise KeyError(name)
    return found


def parts(variant: str) -> tuple[list[str], bool]:
    """What sets a variant apart from the build that most people run, and whether it is optimised."""
    said = variant.split("+")
    return [part for part in said if part not in ("pgo", "lto", "noopt")], "pgo" in said


def _best(plan: Plan) -> Iterator[tuple[str, ReleasedCell]]:
    """The cells that are installed, newest version first, each with uv's name for its variant, "" for the usual one.

    Where a release has the same version optimised and not, it is the optimised one.
    """
    seen = set()
    for cell in sorted(plan.cells, key=lambda one: not parts(one.cell.variant)[1]):
        key = (cell.python_version, cell.cell.target, "+".join(parts(cell.cell.variant)[0]))
        if key not in seen:
            seen.add(key)
            yield key[2], cell


def _in_order(plan: Plan) -> list[tuple[str, ReleasedCell]]:
    return sorted(
        _best(plan), key=lambda found: (newest_first(found[1].python_version), found[1].cell.target, found[0])
    )


def newest_first(version: str) -> tuple[int, ...]:
    major, minor, patch, prerelease = version_parts(version)
    return (-major, -minor, -patch, 1 if prerelease else 0)


def version_parts(version: str) -> tuple[int, int, int, str]:
    """3, 14, 0, "rc1" of 3.14.0rc1."""
    major, minor, rest = version.split(".", 2)
    match = _PRERELEASE.match(rest)
    if match is None:
        raise ValueError(f"{version!r} is no version of CPython")
    return int(major), int(minor), int(match[1]), match[2] or ""


def uv_downloads(plan: Plan, base: str, before: bytes | None = None) -> bytes:
    """What `UV_PYTHON_DOWNLOADS_JSON_URL` takes in place of uv's own list. base: the address of this tag's files.

    Versions of earlier releases that this one has not stay in it, so that whoever pins one still gets it.
    """
    found: dict[str, Any] = json.loads(before) if before is not None else {}
    for variant, cell in _in_order(plan):
        where, archive = platform(cell.cell.target), installed(plan, cell)
        major, minor, patch, prerelease = version_parts(cell.python_version)
        plus = f"+{variant}" if variant else ""
        key = f"cpython-{cell.python_version}{plus}-{where.os}-{where.arch}-{where.libc}"
        found[key] = {
            "name": "cpython",
            "arch": {"family": where.arch, "variant": None},
            "os": where.os,
            "libc": where.libc,
            "major": major,
            "minor": minor,
            "patch": patch,
            "prerelease": prerelease,
            "url": address(base, archive.name),
            "sha256": archive.sha256,
            "variant": variant or None,
            "build": plan.tag,
        }
    return json.dumps(found, indent=2, sort_keys=True).encode() + b"\n"


def canonical(tag: str) -> str:
    return f"{CANONICAL}/{tag}"


def versions(plan: Plan, before: bytes | None = None) -> bytes:
    """versions.ndjson: a line a version and release, this release's first, then those of all releases before.

    Debug symbols are not in it: nobody installs them.
    """
    day = f"{plan.tag[:4]}-{plan.tag[4:6]}-{plan.tag[6:8]}T00:00:00Z"
    by_version: dict[str, list[dict[str, Any]]] = {}
    targets = {cell.builder: cell.cell.target for cell in plan.cells}
    for one in plan.assets:
        match = _NAME.match(one.name)
        if one.role != "archive" or match is None or one.flavour == "debug_symbols":
            continue
        target = targets[str(one.builder)]
        by_version.setdefault(match["version"], []).append(
            {
                "platform": target,
                "variant": match["rest"].removeprefix(f"{target}-").replace("-", "+"),
                "url": address(plan.url, one.name),
                "archive_format": f"tar.{match['form']}",
                "sha256": one.sha256,
            }
        )
    lines = [
        json.dumps({"version": f"{version}+{plan.tag}", "date": day, "artifacts": artifacts}, separators=(",", ":"))
        for version, artifacts in sorted(by_version.items(), key=lambda item: newest_first(item[0]))
    ]
    return ("".join(f"{line}\n" for line in lines)).encode() + (before or b"")


def latest(plan: Plan) -> bytes:
    """latest-release.json: where the newest release is."""
    document = {
        "version": 1,
        "tag": plan.tag,
        "release_url": page_of(plan.url),
        "asset_url_prefix": plan.url,
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def bazel(plan: Plan) -> bytes:
    """For a MODULE.bazel: each interpreter with its address and digest, by rules_python's own name of the platform."""
    lines = [
        f"# CPython of release {plan.tag} for rules_python (bzlmod). Add to MODULE.bazel.",
        'python = use_extension("@rules_python//python/extensions:python.bzl", "python")',
    ]
    for variant, cell in _in_order(plan):
        if variant not in ("", "freethreaded"):  # rules_python has no platform for any other
            continue
        archive = installed(plan, cell)
        values = {
            "platform": cell.cell.target + (f"-{variant}" if variant else ""),
            "python_version": cell.python_version,
            "sha256": archive.sha256,
            "strip_prefix": "python/install" if archive.flavour == "full" else "python",
            "urls": [address(plan.url, archive.name)],
        }
        said = "".join(f"    {name} = {json.dumps(value)},\n" for name, value in values.items())
        lines.append(f"python.single_version_platform_override(\n{said})")
    minors: dict[str, str] = {}
    for _, cell in _in_order(plan):
        minors.setdefault(cell.cell.version, cell.python_version)
    said = "".join(f"        {json.dumps(minor)}: {json.dumps(full)},\n" for minor, full in minors.items())
    lines.append(f"python.override(\n    minor_mapping = {{\n{said}    }},\n)")
    return ("\n".join(lines) + "\n").encode()


def pants(plan: Plan) -> bytes:
    """For a pants.toml: version and tag, platform, digest, size in bytes, address. Pants knows no free-threaded one."""
    rows = []
    for variant, cell in _in_order(plan):
        if not variant:
            archive = installed(plan, cell)
            fields = [
                f"{cell.python_version}+{plan.tag}", platform(cell.cell.target).pants, archive.sha256,
                str(archive.size), address(plan.url, archive.name),
            ]  # fmt: skip
            rows.append(f"  {json.dumps('|'.join(fields))},\n")
    return (
        f"# CPython of release {plan.tag}. Add to pants.toml: Pants then takes these versions from here.\n"
        "[GLOBAL]\n"
        'backend_packages.add = ["pants.backend.python.providers.experimental.python_build_standalone"]\n\n'
        "[python-build-standalone-python-provider]\n"
        f"known_python_versions = [\n{''.join(rows)}]\n"
    ).encode()


def hatch(plan: Plan, target: str) -> bytes:
    """Variables for one target, as NAME=VALUE: hatch knows a distribution by its name only, `3.13` or `3.13t`.

    The version has the tag in it, so that `hatch python update` sees a newer build of the same Python.
    """
    lines = [f"# CPython of release {plan.tag} for hatch on {target}: set -a; . ./{hatch_name(target)}; set +a\n"]
    names = {"": "", "freethreaded": "T"}
    done = set()
    for variant, cell in _in_order(plan):
        if cell.cell.target != target or variant not in names:
            continue
        name = cell.cell.version.replace(".", "_") + names[variant]
        if name in done:
            continue
        done.add(name)
        archive = installed(plan, cell)
        python = "python/install/bin/python3" if archive.flavour == "full" else "python/bin/python3"
        lines += [
            f"HATCH_PYTHON_CUSTOM_SOURCE_{name}={address(plan.url, archive.name)}\n",
            f"HATCH_PYTHON_CUSTOM_PATH_{name}={python}\n",
            f"HATCH_PYTHON_CUSTOM_VERSION_{name}={cell.python_version}+{plan.tag}\n",
        ]
    return "".join(lines).encode()


def hatch_name(target: str) -> str:
    return f"hatch-{target}.env"


def all_indexes(plan: Plan, before: Mapping[str, bytes]) -> dict[str, bytes]:
    """Every file for tools, by name. before: those of the release before."""
    return {
        UV_OWN: uv_downloads(plan, plan.url, before.get(UV_OWN)),
        UV_MIRROR: uv_downloads(plan, canonical(plan.tag), before.get(UV_MIRROR)),
        VERSIONS: versions(plan, before.get(VERSIONS)),
        LATEST: latest(plan),
        BAZEL: bazel(plan),
        PANTS: pants(plan),
        **{hatch_name(target): hatch(plan, target) for target in sorted({cell.cell.target for cell in plan.cells})},
    }


ACCUMULATED = (UV_OWN, UV_MIRROR, VERSIONS)
