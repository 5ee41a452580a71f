"""What a node is, before its key is known: the one form in which recipes' and CPython's nodes reach the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.machine import native_target, runs_macos
from workers.model import Target
from workers.reports.build import Stage
from workers.sandbox import TOOLCHAIN

PROVIDER = "fips-provider"
TESTS = "openssl-tests"
# Built for the proof; no file of theirs is in an archive.
PROOF_NODES = (TESTS,)


@dataclass(frozen=True)
class NodeSpec:
    """A thing that is built by one recipe, from sources and from what other nodes left.

    name: unique within a plan. stage: the stage of a build that makes it.
    recipe: file name in cpython-unix/recipes. sources: names in sources.toml, the first is the recipe's SOURCE; a node
    that works on what others left has none.
    needs: names of the nodes whose objects, merged, are the recipe's PREFIX.
    environment: what the recipe is told beyond the driver's own variables, as far as it can change bytes.
    data: files below cpython-unix that the recipe reads, so that their contents belong to the key.
    edits: the version of CPython whose edits are applied to the first source ("3.13", free-threaded "3.13t"), or None.
    """

    name: str
    stage: Stage
    recipe: str
    sources: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    edits: str | None = None


def edits_version(edits: str) -> tuple[str, bool]:
    """A node's `edits` as the minor version and whether the build is free-threaded: "3.13t" is ("3.13", True)."""
    return edits.removesuffix("t"), edits.endswith("t")


def tool_environment(target: Target) -> dict[str, str]:
    """The tools that every recipe calls by these names, and the target's names."""
    return {
        "CC": "clang",
        "CXX": "clang++",
        "AR": "llvm-ar",
        "RANLIB": "llvm-ranlib",
        "NM": "llvm-nm",
        "STRIP": "llvm-strip",
        "OBJCOPY": "llvm-objcopy",
        "READELF": "llvm-readelf",
        "BUILD_TRIPLE": build_triple(target),
        "OPENSSL_TARGET": target.openssl,
        **({"GLIBC": target.glibc} if target.glibc else {}),
        **(_macos_environment(target) if target.os == "macos" else {}),
    }


def build_triple(target: Target) -> str:
    """What a library's configure is told that it runs on: the target itself, since the target's programs run here.

    Those for macOS run on macOS alone: elsewhere configure must not try them.
    """
    if target.os == "macos" and not runs_macos():
        return native_target() or "x86_64-unknown-linux-gnu"
    return target.triple


def _macos_environment(target: Target) -> dict[str, str]:
    return {
        "OBJDUMP": "llvm-objdump",
        # What these two do for ELF has no like in Mach-O: what comes from a static library is hidden by CPython's link
        # (-load_hidden, workers/cpython.py).
        "READELF": "true",
        "OBJCOPY": "true",
        # CPython's sysconfig says it on, and from there wheels get their names.
        "MACOSX_DEPLOYMENT_TARGET": target.deployment_target or "",
        "SDKROOT": f"{TOOLCHAIN}/sdk",
        # No time of an object file in what is linked from it, nor in a static library.
        "ZERO_AR_DATE": "1",
    }
