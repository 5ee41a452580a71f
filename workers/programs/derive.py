"""`derive`: makes the smaller archives out of the full one, on all cores, unless the store has them."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from workers.derive.derive import Derived, Tools, derive
from workers.errors import Failure
from workers.model import Flavour, load_matrix
from workers.objects import extract
from workers.package.stored import find_derived, place
from workers.programs.common import Places, Stopwatch, failing_plainly, places
from workers.progress import Progress, counted, seconds, size
from workers.reports.base import decode, read_report, write_report
from workers.reports.build import ArchiveReport, DerivedArchive, DeriveReport, Plan
from workers.reports.checks import ProveReport
from workers.room import in_use
from workers.store import Store, require_space
from workers.toolchain import find_tool

# An unpacked tree, its stripped binaries, the archives; the largest seen was 0.5 GB in all.
_SPACE = 2_000_000_000


@click.command("derive")
@click.option("--jobs", type=click.IntRange(min=1), help="How many things to do at a time; all cores if not given.")
@places
@failing_plainly
def command(places: Places, jobs: int | None) -> None:
    """Derives install_only, install_only_stripped and the debug symbols from the archive in RUN/archive."""
    watch = Stopwatch()
    plan = places.plan()
    progress = Progress()
    store = Store(places.state / "store", progress.line)
    archive = read_report(places.reports / "archive.json", ArchiveReport)
    provider = read_report(places.reports / "prove.json", ProveReport).provider_sha256
    cores = jobs or os.cpu_count() or 1
    stored = find_derived(plan, store)
    if stored is not None:
        made = []
        for planned, kept in stored:
            place(kept.path, places.run / "archive" / planned.name)
            made.append(decode(kept.reports["derive"].encode(), DerivedArchive, "the stored report"))
            progress.line(f"{planned.name}: from the store, {size(kept.record.size)}")
    else:
        require_space(places.run, _SPACE, "deriving the smaller archives")
        made = _derive(places, plan, archive, provider, store, cores, watch, progress)
    report = DeriveReport(
        schema="pymint/derive/1",
        ok=True,
        from_tar_sha256=archive.tar_sha256,
        provider_sha256=provider,
        archives=made,
        cores=cores,
        measure=watch.measure(),
    )
    write_report(report, places.reports / "derive.json")


def _derive(
    places: Places,
    plan: Plan,
    archive: ArchiveReport,
    provider: str,
    store: Store,
    cores: int,
    watch: Stopwatch,
    progress: Progress,
) -> list[DerivedArchive]:
    names: dict[Flavour, Path] = {one.flavour: places.run / "archive" / one.name for one in plan.flavours}
    with tempfile.TemporaryDirectory(prefix="derive-", dir=_scratch(places)) as scratch, in_use(Path(scratch)):
        tools = Tools(find_tool("llvm-objcopy"), cores, _others(plan, store, Path(scratch) / "helper"))
        made = derive(
            places.run / "archive" / plan.archive_name,
            names,
            Path(scratch) / "work",
            tools,
            epoch=plan.epoch,
            progress=progress,
        )
    _same("the archive", archive.tar_sha256, made.tar_sha256, "of the tar")
    _same("the FIPS module", provider, made.provider_sha256, "of the module that prove-fips saw")
    _tell(made, names, archive, watch, progress)
    return [
        DerivedArchive(
            flavour=one.flavour,
            name=names[one.flavour].name,
            sha256=one.packed.sha256,
            size=one.packed.size,
            tar_sha256=one.packed.tar_sha256,
            tar_size=one.packed.tar_size,
            members=one.packed.members,
            bytecode=one.bytecode,
            stripped=one.stripped,
            debug_files=one.debug_files,
            origin="built",
        )
        for one in made.made
    ]


def _scratch(places: Places) -> Path:
    scratch = places.state / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    return scratch


def _same(what: str, wanted: str, found: str, of: str) -> None:
    """Raises Failure where the smaller archives were made from other bytes than those that were judged."""
    if wanted != found:
        raise Failure(
            "derive",
            f"{what} is not what was validated and proven",
            wanted=f"sha256 {wanted} {of}",
            found=f"sha256 {found}",
            todo="Nothing is handed over. See what else writes to the run directory, then build again.",
        )


def _others(plan: Plan, store: Store, helper: Path) -> Callable[[], Sequence[Sequence[str]]]:
    """The build Python of the same release, for a target whose own interpreter this machine can't run."""

    def interpreters() -> Sequence[Sequence[str]]:
        target = load_matrix().targets[plan.cell.target]
        if platform.machine() in (target.arch, {"arm64": "aarch64"}.get(target.arch)):
            return []
        name = f"cpython-{plan.cell.version}-build"
        node = next((node for node in plan.nodes if node.name == name), None)
        record = store.checked(node.key) if node is not None else None
        if record is None:
            return []
        extract(store.path_of(record.digest), helper)
        return [[str(helper / f"build-python/bin/python{plan.cell.version}")]]

    return interpreters


def _tell(
    made: Derived, names: dict[Flavour, Path], archive: ArchiveReport, watch: Stopwatch, progress: Progress
) -> None:
    for one in made.made:
        packed = one.packed
        holds = {
            "install_only": f"{counted(one.bytecode, 'file')} of bytecode",
            "install_only_stripped": f"{counted(one.bytecode, 'file')} of bytecode, "
            f"{counted(one.stripped, 'binary', 'binaries')} stripped",
            "debug_symbols": f"of {counted(one.debug_files, 'binary', 'binaries')}",
        }[one.flavour]
        progress.line(f"{names[one.flavour].name}: {size(packed.tar_size)} → {size(packed.size)}, {holds}")
    spent = watch.measure()
    rate = archive.tar_size / 1e6 / max(spent.wall_s, 0.001)
    progress.line(
        f"{size(archive.tar_size)} of tar read, {rate:.0f} MB/s; {spent.cpu_s:.0f} s of CPU, "
        f"{spent.max_rss_kib // 1024} MiB at most, {seconds(spent.wall_s)}"
    )
