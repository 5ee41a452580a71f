"""What is decided before anything is built: the key of each node, and which nodes a build has to make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from workers.errors import Failure
from workers.model import DERIVED, Cell, Flavour
from workers.nodes import PROOF_NODES, NodeSpec
from workers.reports.build import ChosenPin, PlannedFlavour, PlannedNode, ProviderFacts

# The release whose provider is CMVP-validated, and its certificate (FIPS 140-3; issued 2025-03-11, sunset 2030-03-10).
VALIDATED_PROVIDER = "3.1.2"
CERTIFICATE = "4985"


def digest_of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def key_of(inputs: Mapping[str, object]) -> str:
    """The sha256 of the inputs as canonical JSON: sorted keys, no spaces, ASCII. So anyone can recompute a key."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def digest_of_tree(paths: Iterable[Path], root: Path) -> str:
    """One digest over the names (below `root`) and bytes of files, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(
            f"{path.relative_to(root).as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
        )
    return digest.hexdigest()


def in_build_order(specs: Sequence[NodeSpec]) -> list[NodeSpec]:
    """The nodes, each after all that it needs. Raises Failure for an unknown need or a circle."""
    by_name = {spec.name: spec for spec in specs}
    ordered: dict[str, NodeSpec] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in ordered:
            return
        if name not in by_name:
            raise Failure(
                "plan", f"{path[-1]} needs {name}, which is no node", todo=f"Known: {', '.join(sorted(by_name))}."
            )
        if name in path:
            raise Failure("plan", f"the nodes {' → '.join((*path, name))} need each other", todo="Mend nodes.toml.")
        for need in by_name[name].needs:
            visit(need, (*path, name))
        ordered[name] = by_name[name]

    for spec in specs:
        visit(spec.name, ())
    return list(ordered.values())


def plan_nodes(
    specs: Sequence[NodeSpec],
    *,
    pins: Mapping[str, ChosenPin],
    toolchain: Mapping[str, str],
    text_of: Callable[[str], str],
    licences_of: Callable[[str], Sequence[str]],
    edits_of: Callable[[NodeSpec], Mapping[str, str]],
    is_stored: Callable[[str], bool],
) -> list[PlannedNode]:
    """The nodes with their keys, in build order.

    A key covers everything that can change the node's bytes, and nothing else: recipe, data files and edits by digest,
    sources by digest and the licence texts that are kept of them, environment, toolchain, keys of the needed nodes.
    Left out on purpose: the number of jobs, the checkout's path, the time.

    text_of: text of a file below cpython-unix; licences_of: source → its licence texts, by their paths; edits_of: name
    → digest of the edits that a node applies.
    """
    keys: dict[str, str] = {}
    planned: list[PlannedNode] = []
    for spec in in_build_order(specs):
        inputs: dict[str, object] = {
            "node": spec.name,
            "recipe": digest_of_text(text_of(f"recipes/{spec.recipe}")),
            "data": {name: digest_of_text(text_of(name)) for name in sorted(spec.data)},
            "edits": dict(edits_of(spec)),
            "sources": {name: [pins[name].version, pins[name].sha256] for name in spec.sources},
            "licences": {name: list(licences_of(name)) for name in spec.sources},
            "environment": dict(spec.environment),
            "toolchain": dict(toolchain),
            "needs": {name: keys[name] for name in spec.needs},
        }
        key = keys[spec.name] = key_of(inputs)
        planned.append(
            PlannedNode(
                name=spec.name,
                stage=spec.stage,
                key=key,
                recipe=spec.recipe,
                sources=list(spec.sources),
                needs=list(spec.needs),
                environment=dict(spec.environment),
                edits=spec.edits,
                inputs=inputs,
                stored=is_stored(key),
            )
        )
    return planned


def missing(nodes: Sequence[PlannedNode], wanted: Iterable[str]) -> list[str]:
    """The names of the nodes that have to be built so that each of `wanted` is there, in build order.

    A node that is stored needs nothing that it was made from.
    """
    by_name = {node.name: node for node in nodes}
    needed: set[str] = set()

    def visit(name: str) -> None:
        node = by_name[name]
        if node.stored or name in needed:
            return
        needed.add(name)
        for need in node.needs:
            visit(need)

    for name in wanted:
        visit(name)
    return [node.name for node in nodes if node.name in needed]


def shipped_nodes(nodes: Sequence[PlannedNode]) -> list[str]:
    """The nodes whose objects `package` opens: the CPython itself (last in build order), provider, libraries."""
    parts = (node.name for node in nodes if node.stage != "cpython" and node.name not in PROOF_NODES)
    return [*parts, nodes[-1].name]


def wanted_nodes(nodes: Sequence[PlannedNode]) -> list[str]:
    """The nodes that a build has to have in the end: those that are shipped, and those that the proof needs."""
    return [*shipped_nodes(nodes), *(node.name for node in nodes if node.name in PROOF_NODES)]


def provider_facts(
    version: str, procedure: str, *, target_floor: str, environment_floor: str, slh_dsa: bool
) -> ProviderFacts:
    """What may be said of the provider: a certificate only for the validated release built by the policy."""
    if procedure == "policy":
        certificate = CERTIFICATE if version == VALIDATED_PROVIDER else None
        return ProviderFacts(version, "policy", certificate, environment_floor, slh_dsa=True)
    return ProviderFacts(version, "toolchain", None, target_floor, slh_dsa=slh_dsa)


def archive_name(cell: Cell, release: str, epoch: int, flavour: Flavour = "full") -> str:
    """The seed's name for a build's archive; the date is the commit's, in UTC, to the minute."""
    return cell.archive_name(release, datetime.fromtimestamp(epoch, tz=UTC).strftime("%Y%m%dT%H%M"), flavour)


def plan_flavours(
    cell: Cell, release: str, epoch: int, archive_key: str, is_stored: Callable[[str], bool]
) -> list[PlannedFlavour]:
    """The archives that are made from the full one, with their keys: what it is made of is all that they are."""
    planned = []
    for flavour in DERIVED:
        key = key_of({"from": archive_key, "flavour": flavour})
        planned.append(PlannedFlavour(flavour, archive_name(cell, release, epoch, flavour), key, is_stored(key)))
    return planned
