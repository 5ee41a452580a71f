"""Gathers what a bill of materials is made from: pins, objects as they were unpacked, the tree as it will be packed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from workers.errors import Failure
from workers.fips.config import parse_fipsmodule
from workers.nodes import PROVIDER
from workers.package.beside import FipsDocument
from workers.package.tree import Output, ProviderFiles
from workers.reports.build import Plan
from workers.sbom.bill import COMPILED_IN, Materials, Part
from workers.sbom.vendored import bundled, read_list, shipped
from workers.sources.cache import cached_path
from workers.sources.pins import Pin, PinnedFile, pin_of
from workers.tarball import Entry


def chosen_pins(plan: Plan, pins: Mapping[str, tuple[Pin, ...]]) -> dict[str, tuple[Pin, PinnedFile]]:
    """Of each source in the plan the pin and the file that were chosen. Raises Failure when a pin is gone."""
    return {chosen.source: pin_of(pins, chosen.source, chosen.sha256) for chosen in plan.pins}


def linkage(output: Output, paths: frozenset[str]) -> tuple[str, tuple[str, ...]]:
    """How a node's files got into the archive, as `Part` has it, and where its shared libraries are."""
    if output.node == PROVIDER:
        return "module", ()
    names = sorted(path.name for pattern in ("*.so*", "*.dylib") for path in (output.root / "lib").glob(pattern))
    shared = tuple(path for path in (f"install/lib/{name}" for name in names) if path in paths)
    if shared:
        return "shared", shared
    return ("static" if output.libraries() else COMPILED_IN), ()


def gather(
    plan: Plan,
    pins: Mapping[str, tuple[Pin, PinnedFile]],
    outputs: Sequence[Output],
    digests: Mapping[str, str],
    entries: Sequence[Entry],
    provider: tuple[ProviderFiles, FipsDocument],
    cache: Path,
) -> Materials:
    """The materials of the archive that `entries` are. outputs: CPython's is the last; digests: of their objects.

    Raises Failure when CPython's source is not in the cache.
    """
    by_name = {node.name: node for node in plan.nodes}
    files = {entry.path.removeprefix("python/"): entry.source for entry in entries}
    paths = frozenset(files)
    *libraries, cpython = outputs
    parts = [Part(by_name[out.node], digests[out.node], *linkage(out, paths)) for out in libraries]
    parts.append(Part(by_name[cpython.node], digests[cpython.node], ""))
    pin, file = pins[parts[-1].node.sources[0]]
    listed = read_list(_source(cache, pin, file))
    linked = [source for part in parts[:-1] for source in part.node.sources]
    stdlib = f"install/lib/python{plan.cell.version}" + ("t" if "freethreaded" in plan.cell.variant else "")
    kept, left = shipped(listed or (), paths, stdlib, linked)
    module, document = provider
    return Materials(
        plan=plan,
        pins=pins,
        parts=parts,
        vendored=None if listed is None else kept,
        left_out=left,
        bundled=bundled({path: source for path, source in files.items() if source is not None}),
        fips=document,
        mac=parse_fipsmodule(module.module_config.read_text())["module-mac"],
    )


def _source(cache: Path, pin: Pin, file: PinnedFile) -> Path:
    path = cached_path(cache, file.sha256)
    if not path.is_file():
        raise Failure(
            "package",
            f"the source of {pin.source} {pin.version} is not in the cache",
            wanted="its list of what it carries of other projects, for the bill of materials",
            todo="Run the stage `sources` first; it fetches it.",
        )
    return path
