"""The nodes behind a cell: the libraries from `cpython-unix/nodes.toml`, the CPython nodes from the variant."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from workers.cpython import cpython_nodes
from workers.debian_root import POLICY_PACKAGES, POLICY_SUITE
from workers.errors import Failure
from workers.model import DATA, Cell, Target
from workers.nodes import PROOF_NODES, PROVIDER, NodeSpec, tool_environment
from workers.reports.build import Stage


@dataclass(frozen=True)
class _Row:
    """A table of nodes.toml. `os`: the systems that have this node; empty: all."""

    stage: Stage
    source: str | None = None
    sources: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    recipe: str | None = None
    os: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    data: tuple[str, ...] = ()


def _filled(environment: dict[str, str], flags: dict[str, str]) -> dict[str, str]:
    """`{cflags}` and `{ldflags}` of nodes.toml replaced by the target's."""
    return {name: value.format(**flags) for name, value in environment.items()}


def library_nodes(target: Target, provider: dict[str, str], path: Path = DATA / "nodes.toml") -> list[NodeSpec]:
    """The target's nodes but CPython's own. `provider`: further environment of the FIPS provider's recipe.

    Raises Failure when the file can't be read or a table has a wrong field.
    """
    try:
        raw = tomllib.loads(path.read_text())
        rows = {name: msgspec.convert(row, _Row) for name, row in raw["node"].items()}
        shared = msgspec.convert(raw.get("environment", {}), dict[str, dict[str, str]]).get(target.os, {})
    except (OSError, KeyError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Failure("plan", f"{path.name} can't be read", found=str(error), todo=f"Mend {path}.") from error
    flags = {"cflags": " ".join(target.cflags), "ldflags": " ".join(target.ldflags)}
    common = {**tool_environment(target), **_filled(shared, flags)}
    here = {name: row for name, row in rows.items() if not row.os or target.os in row.os}
    nodes = [
        NodeSpec(
            name=name,
            stage=row.stage,
            recipe=row.recipe or f"{name}.sh",
            sources=((row.source,) if row.source else ()) + row.sources,
            needs=tuple(need for need in row.needs if need in here),
            environment={
                **common,
                **_filled(row.environment, flags),
                **_told_of_the_provider(name, provider),
            },
            data=row.data,
        )
        for name, row in here.items()
    ]
    if provider.get("PROCEDURE") == "policy":
        if target.os != "linux":
            raise Failure(
                "plan",
                f"the FIPS provider of {target.triple} can't be built by its Security Policy",
                wanted="the documented environment, Debian 11",
                found=target.os,
                todo="Take the procedure `toolchain` for this target.",
            )
        return [_by_policy(node) if node.name == PROVIDER else node for node in nodes]
    return nodes


def _told_of_the_provider(name: str, provider: dict[str, str]) -> dict[str, str]:
    """What the settings of the FIPS provider are to a node: its tests only have to know which algorithms it has."""
    if name == PROVIDER:
        return provider
    if name not in PROOF_NODES or "SLH_DSA" not in provider:
        return {}
    return {"SLH_DSA": "yes" if provider.get("PROCEDURE") == "policy" else provider["SLH_DSA"]}


def _by_policy(node: NodeSpec) -> NodeSpec:
    """The provider by its Security Policy: in the documented system and with its compiler, no flags of ours."""
    environment = {"PROCEDURE": "policy", "SYSTEM": POLICY_SUITE, "SYSTEM_PACKAGES": " ".join(POLICY_PACKAGES)}
    return replace(node, recipe="fips-provider-policy.sh", needs=(), environment=environment)


def nodes_of(cell: Cell, provider: dict[str, str], emulator: str = "") -> list[NodeSpec]:
    """All nodes of a cell; the last is the CPython that the archive is made of.

    Of the libraries only those that this CPython needs: what it does not link has no business in its archive.
    """
    libraries = {node.name: node for node in library_nodes(cell.target, provider)}
    own = cpython_nodes(cell, emulator)
    wanted: set[str] = set()
    waiting = [PROVIDER, *PROOF_NODES, *(need for node in own for need in node.needs)]
    while waiting:
        name = waiting.pop()
        if name in libraries and name not in wanted:
            wanted.add(name)
            waiting += libraries[name].needs
    return [*(node for name, node in libraries.items() if name in wanted), *own]
