"""`plan`: chooses the pins, works out every key, says what is stored and what will be built. Builds nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from workers.apple import only_libraries
from workers.cpython import EMULATOR
from workers.edits import edit_digest_inputs
from workers.errors import Failure
from workers.graph import nodes_of
from workers.machine import emulation_of
from workers.model import DATA, ROOT, Cell, load_matrix
from workers.nodes import NodeSpec, edits_version
from workers.plan import (
    archive_name,
    digest_of_tree,
    key_of,
    missing,
    plan_flavours,
    plan_nodes,
    provider_facts,
    wanted_nodes,
)
from workers.programs.common import Places, Stopwatch, failing_plainly, places
from workers.progress import Progress, counted
from workers.reports.base import write_report
from workers.reports.build import CellName, Plan, PlannedNode, PlanReport, ProviderFacts
from workers.sources.choose import choose
from workers.sources.pins import load_pins, pin_of
from workers.sources.settings import SourceSettings, source_options
from workers.store import Store
from workers.toolchain import find_toolchain

PROVIDER_SOURCE = "openssl-fips"
# Debian 11's glibc, the environment that the Security Policy of certificate 4985 documents for x86_64.
POLICY_FLOOR = "2.31"


@click.command("plan")
@click.option("--python", "version", required=True, help="Minor version of CPython, such as 3.13.")
@click.option("--target", required=True, help="Triple, such as x86_64-unknown-linux-gnu.")
@click.option("--variant", required=True, help="Variant, such as pgo+lto or noopt.")
@click.option("--fips-procedure", type=click.Choice(["toolchain", "policy"]), default="toolchain", show_default=True)
@click.option("--slh-dsa/--no-slh-dsa", default=True, help="Whether a `toolchain` provider has SLH-DSA.")
@places
@source_options
@failing_plainly
def command(
    version: str,
    target: str,
    variant: str,
    fips_procedure: str,
    slh_dsa: bool,
    places: Places,
    sources: SourceSettings,
) -> None:
    """Plans the build of one cell at the checkout's commit."""
    watch = Stopwatch()
    progress = Progress()
    cell = load_matrix().cell(version, target, variant)
    store = Store(places.state / "store", progress.line)
    commit, epoch, dirty = _commit()
    emulator = "" if only_libraries(cell.target) else emulation_of(cell.target)
    toolchain = find_toolchain(target=cell.target, state=places.state)
    specs = nodes_of(cell, {"PROCEDURE": fips_procedure, "SLH_DSA": "yes" if slh_dsa else "no"}, emulator)
    names = sorted({name for spec in specs for name in spec.sources})
    known = load_pins()
    pins = {pin.source: pin for pin in choose(names, known, places.cache, places.state, sources, progress)}
    provider = provider_facts(
        pins[PROVIDER_SOURCE].version,
        fips_procedure,
        target_floor=cell.target.glibc or "",
        environment_floor=POLICY_FLOOR,
        slh_dsa=slh_dsa,
    )
    nodes = plan_nodes(
        specs,
        pins=pins,
        toolchain=toolchain.identity,
        text_of=lambda name: (DATA / name).read_text(),
        licences_of=lambda name: pin_of(known, name, pins[name].sha256)[0].licence_files,
        edits_of=_digests_of_edits,
        is_stored=lambda key: store.checked(key) is not None,
    )
    release = pins[cell.version.source].version
    name = archive_name(cell, release, epoch)
    key = _archive_key(nodes, name, commit, epoch, provider)
    plan = Plan(
        schema="pymint/plan/2",
        cell=CellName(version, target, variant),
        commit=commit,
        dirty=dirty,
        epoch=epoch,
        python_version=release,
        archive_name=name,
        archive_key=key,
        archive_stored=store.checked(key) is not None,
        toolchain=dict(toolchain.identity),
        provider=provider,
        pins=list(pins.values()),
        nodes=nodes,
        flavours=plan_flavours(cell, release, epoch, key, lambda found: store.checked(found) is not None),
        emulator=emulator,
    )
    write_report(plan, places.run / "plan.json")
    write_report(PlanReport("pymint/plan-report/2", True, plan, watch.measure()), places.reports / "plan.json")
    _remember(places.state, cell, plan)
    _tell(plan, progress)


def _commit() -> tuple[str, int, bool]:
    """The checkout's commit, its committer date in seconds, and whether files differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(
                "plan",
                f"git {arguments[0]} failed in {ROOT}",
                found=done.stderr.strip(),
                todo="An archive's date is its commit's, so a build needs a git checkout with at least one commit.",
            )
        return done.stdout.strip()

    commit, epoch = git("show", "-s", "--format=%H %ct", "HEAD").split()
    return commit, int(epoch), bool(git("status", "--porcelain", "--untracked-files=no"))


def _digests_of_edits(spec: NodeSpec) -> dict[str, str]:
    if spec.edits is None:
        return {}
    minor, freethreaded = edits_version(spec.edits)
    return edit_digest_inputs(minor, freethreaded=freethreaded)


def _archive_key(nodes: list[PlannedNode], name: str, commit: str, epoch: int, provider: ProviderFacts) -> str:
    """The key of the finished archive: its parts, its commit, and the programs that pack, judge and prove it."""
    by_name = {node.name: node for node in nodes}
    programs = [path for path in (ROOT / "workers").rglob("*") if path.suffix in {".py", ".toml", ".j2", ".html"}]
    inputs: Mapping[str, object] = {
        "archive": name,
        "commit": commit,
        "epoch": epoch,
        "nodes": {part: by_name[part].key for part in wanted_nodes(nodes)},
        "programs": digest_of_tree(
            [*programs, DATA / "modules.toml", DATA / "sources.toml", ROOT / "constraints.txt"], ROOT
        ),
        "provider": asdict(provider),
    }
    return key_of(inputs)


def _remember(state: Path, cell: Cell, plan: Plan) -> None:
    """Writes which keys the cell's latest plan refers to: what `prune` keeps."""
    keys = {node.name: node.key for node in plan.nodes} | {"archive": plan.archive_key}
    keys |= {planned.flavour: planned.key for planned in plan.flavours}
    write_report(keys, state / "roots" / f"{cell.builder_name}.json")


def _tell(plan: Plan, progress: Progress) -> None:
    for pin in plan.pins:
        if not pin.is_newest:
            progress.line(
                f"{pin.source}: {pin.version} is used, not {pin.newest}, the first choice. {pin.note}".rstrip()
            )
    if plan.provider.certificate is None:
        progress.line(
            f"fips-provider: {plan.provider.provider_version}, procedure {plan.provider.procedure}: not CMVP-validated"
        )
    if plan.all_stored:
        progress.line(f"{plan.archive_name} and what is derived from it: from the store, nothing to build")
        return
    if only_libraries(load_matrix().targets[plan.cell.target]):
        progress.line(f"{plan.cell.target}: libraries, OpenSSL and the FIPS provider can be built here; CPython can't")
    if plan.emulator:
        trained = " and the training of PGO are" if any(EMULATOR in node.environment for node in plan.nodes) else " is"
        progress.line(
            f"{plan.cell.target}: cross-compiled; what the build runs of it{trained} emulated by {plan.emulator}"
        )
    if plan.archive_stored:
        derived = [planned.flavour for planned in plan.flavours]
        progress.line(f"{plan.archive_name}: from the store; to derive: {', '.join(derived)}")
        return
    wanted = missing(plan.nodes, wanted_nodes(plan.nodes))
    progress.line(f"{counted(len(plan.nodes), 'node')}: {len(wanted)} to build ({', '.join(wanted) or 'none'})")
