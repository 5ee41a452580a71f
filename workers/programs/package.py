"""`package`: makes the archive's tar out of the nodes' objects, unless the store has the whole archive."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from workers.errors import Failure
from workers.fips.config import check_mac, self_contained
from workers.model import Cell, load_matrix
from workers.objects import extract
from workers.package.beside import build_document, fips_document
from workers.package.extensions import Licence
from workers.package.facts import ask
from workers.package.metadata import TEXTS, Inputs, llvm_release, python_json
from workers.package.python_json import encode
from workers.package.stored import find_stored, tar_path
from workers.package.tree import (
    INSTALL,
    PUBLIC_DOMAIN,
    Output,
    cpython_entries,
    find_provider,
    library_entries,
    licence_entries,
    licence_name,
    provider_entries,
)
from workers.plan import shipped_nodes
from workers.programs.common import Places, Stopwatch, failing_plainly, places
from workers.progress import Progress, counted, seconds, size
from workers.reports.base import encode as encode_report
from workers.reports.base import write_report
from workers.reports.build import PackageReport, Plan
from workers.sbom.bill import bill
from workers.sbom.documents import documents, stem_of
from workers.sbom.gather import chosen_pins, gather
from workers.sources.pins import load_pins
from workers.store import Store, require_space
from workers.tarball import Entry, write_tar
from workers.validate.elf import ELF_MAGIC, newest_glibc, read_elf

FIRST = "python/PYTHON.json"
SYSROOT = "sysroot"
# A tree and its tar, with room: the largest seen was 0.7 GB each.
_SPACE = 3_000_000_000


@click.command("package")
@places
@failing_plainly
def command(places: Places) -> None:
    """Packs the planned archive, not yet compressed, into RUN/package."""
    watch = Stopwatch()
    plan = places.plan()
    progress = Progress()
    store = Store(places.state / "store", progress.line)
    tar = tar_path(places.run, plan)
    stored = find_stored(plan, store)
    if stored is not None:
        report = PackageReport(
            "pymint/package/1",
            True,
            tar.name,
            stored.tar_sha256,
            stored.tar_size,
            stored.members,
            "store",
            watch.measure(),
        )
        progress.line(f"{plan.archive_name}: from the store, nothing to pack, {seconds(report.measure.wall_s)}")
    else:
        require_space(places.run, _SPACE, "packing the archive")
        with _unpacked(plan, store, places.run / "package") as (outputs, digests):
            progress.line(f"unpacked {len(outputs)} objects, {seconds(watch.measure().wall_s)}")
            entries = archive_entries(plan, outputs, digests, places.cache)
            written = write_tar(tar, entries, epoch=plan.epoch, first=FIRST)
        report = PackageReport(
            "pymint/package/1",
            True,
            tar.name,
            written.sha256,
            written.size,
            written.members,
            "built",
            watch.measure(),
        )
        progress.line(
            f"{tar.name}: {counted(written.members, 'file')}, {size(written.size)}, sha256 {written.sha256[:12]}…, "
            f"{seconds(report.measure.wall_s)}"
        )
    write_report(report, places.reports / "package.json")


@contextmanager
def _unpacked(plan: Plan, store: Store, near: Path) -> Iterator[tuple[list[Output], dict[str, str]]]:
    """The shipped nodes' objects, each unpacked in a folder of its own that goes away afterwards, and their digests."""
    near.mkdir(parents=True, exist_ok=True)
    for left in near.glob(".tree-*"):  # of a killed run; a run directory has one build at a time
        shutil.rmtree(left, ignore_errors=True)
    licences = _licence_ids(plan)
    top = Path(tempfile.mkdtemp(prefix=".tree-", dir=near))
    try:
        outputs, digests = [], {}
        by_name = {node.name: node for node in plan.nodes}
        for name in shipped_nodes(plan.nodes):
            record = store.checked(by_name[name].key)
            if record is None:
                raise Failure(
                    "package",
                    f"the object of {name} is not in the store",
                    todo="It was built or found there before. Start the build again: it will be built anew.",
                )
            extract(store.path_of(record.digest), top / name)
            outputs.append(Output(name, top / name, {source: licences[source] for source in by_name[name].sources}))
            digests[name] = record.digest
        yield outputs, digests
    finally:
        shutil.rmtree(top, ignore_errors=True)


def _licence_ids(plan: Plan) -> dict[str, tuple[str, ...]]:
    """The SPDX licences of each source in the plan."""
    pins = {(name, pin.version): pin for name, versions in load_pins().items() for pin in versions}
    return {chosen.source: pins[(chosen.source, chosen.version)].licences for chosen in plan.pins}


def archive_entries(plan: Plan, outputs: list[Output], digests: Mapping[str, str], cache: Path) -> list[Entry]:
    """Everything in the archive. The last output is the CPython. cache: where its source is."""
    *others, cpython = outputs
    shipped = [output for output in others if _is_shipped(output)]
    provider = find_provider(next(output for output in others if output.node == "fips-provider"))
    module_config = provider.module_config.read_text()
    check_mac(provider.module.read_bytes(), module_config)
    entries = cpython_entries(cpython)
    entries += library_entries(shipped, frozenset(entry.path for entry in entries))
    entries += provider_entries(provider, self_contained(module_config))
    entries += licence_entries(outputs)
    cell = load_matrix().cell(plan.cell.version, plan.cell.target, plan.cell.variant)
    fips = fips_document(plan, provider)
    pins = chosen_pins(plan, load_pins())
    materials = gather(plan, pins, outputs, digests, entries, (provider, fips), cache)
    entries += documents(bill(materials)).entries(stem_of(cell.version.minor, cell.abi_suffix), INSTALL)
    entries += [
        Entry("python/FIPS.json", data=encode_report(fips)),
        Entry(
            "python/BUILD.json",
            data=build_document(plan, digests, {output.node: list(output.sources) for output in outputs}),
        ),
    ]
    document = python_json(_inputs(plan, cell, cpython, shipped, entries))
    return [Entry(FIRST, data=encode(document)), *entries]


def _is_shipped(output: Output) -> bool:
    """Whether the node's own files end up in the archive: not the sysroot's, which is only linked against."""
    return output.node != SYSROOT


def _inputs(plan: Plan, cell: Cell, cpython: Output, shipped: list[Output], entries: list[Entry]) -> Inputs:
    install = cpython.root / "python/install"
    build = cpython.root / "python/build"
    interpreter = install / f"bin/python{cell.version.minor}{cell.abi_suffix}"
    texts = {name: (build / "Modules" / name) for name in TEXTS}
    first_object = next(iter(sorted((build / "Objects").glob("*.o"))), None)
    own = next(iter(cpython.sources))
    return Inputs(
        cell=cell,
        facts=ask(interpreter, install),
        files=frozenset(entry.path.removeprefix("python/") for entry in entries),
        texts={name: path.read_text() for name, path in texts.items() if path.is_file()},
        object_head=first_object.read_bytes()[:4] if first_object is not None else b"",
        llvm_version=llvm_release(plan.toolchain.get("version", "")),
        glibc=_glibc(entries) if cell.target.os == "linux" else None,
        own_licence=_licence(own, cpython.sources[own]),
        licences=_library_licences(plan, shipped),
        apple={name: value for name, value in plan.toolchain.items() if name.startswith("apple_sdk_")},
    )


def _library_licences(plan: Plan, shipped: list[Output]) -> dict[str, tuple[Licence, ...]]:
    """The licences of all that is in a library, by its path. A shared one has what its node needed inside."""
    outputs = {output.node: output for output in shipped}
    needs = {node.name: node.needs for node in plan.nodes}
    found: dict[str, tuple[Licence, ...]] = {}
    for output in shipped:
        own = tuple(_licence(source, ids) for source, ids in output.sources.items())
        found |= {f"build/lib/{library.name}": own for library in output.libraries()}
        inside = [outputs[name] for name in _all_needs(output.node, needs) if name in outputs]
        all_of_them = tuple(_licence(source, ids) for part in (output, *inside) for source, ids in part.sources.items())
        found |= {f"install/lib/{library.name}": all_of_them for library in output.shared_libraries()}
    return found


def _all_needs(name: str, needs: Mapping[str, list[str]]) -> list[str]:
    """What a node needs and what that needs in turn, sorted."""
    found: set[str] = set()
    waiting = list(needs[name])
    while waiting:
        need = waiting.pop()
        if need not in found:
            found.add(need)
            waiting += needs[need]
    return sorted(found)


def _licence(source: str, ids: tuple[str, ...]) -> Licence:
    return Licence(ids, licence_name(source), public_domain=bool(PUBLIC_DOMAIN.intersection(ids)))


def _glibc(entries: list[Entry]) -> str | None:
    """The newest glibc version that anything in the tree wants but the FIPS module, whose own floor is said apart."""
    files = []
    for entry in entries:
        if entry.source is None or not entry.path.startswith(INSTALL) or "/ossl-modules/" in entry.path:
            continue
        with entry.source.open("rb") as stream:
            if stream.read(4) != ELF_MAGIC:
                continue
            elf = read_elf(entry.path, ELF_MAGIC + stream.read())
        if elf is not None:
            files.append(elf)
    return newest_glibc(files)
