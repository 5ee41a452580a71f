"""Stand-in programs: they write reports of the real schemas in milliseconds, and fail in the way `standin.json` says.

A test's repository holds the checkout's real `workers/` with these in place of its programs (see farm.py).
`standin.json` in the repository's root: {"fail": PROGRAM or STAGE, "wrong_schema": ..., "slow": {NAME: seconds},
"hold": {NAME: FILE}: until there is such a file; NAME is `again` for a judge when an archive is released,
"chatty": {NAME: [lines a second, seconds]},
"tamper": FLAVOUR, "archive_bytes": SIZE, "exchange": true: another plan after all is done, "again": JUDGE, which finds
no archive good that it is shown a second time, when it is released, "fill": {NAME: bytes} written to the worker's disk,
"only": a part of the path of the one worker that is slow or filled}. `bills/FLAVOUR.cdx.json` and `.spdx.json`, where
they are there, are the archives' bills of materials.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import click
import zstandard

from workers.errors import Failure
from workers.model import DERIVED, ROOT, load_matrix
from workers.programs.common import Places, failing_plainly, places
from workers.progress import Progress
from workers.reports.base import Measure, read_report, write_report
from workers.reports.build import (
    STAGES,
    ArchiveReport,
    BuiltNode,
    CellName,
    ChosenPin,
    DerivedArchive,
    DeriveReport,
    FetchedSource,
    NodesReport,
    PackageReport,
    Plan,
    PlannedFlavour,
    PlannedNode,
    PlanReport,
    ProviderFacts,
    SourcesReport,
    Stage,
)
from workers.reports.checks import (
    Check,
    Finding,
    FlavourProof,
    FlavourValidation,
    ProveFlavoursReport,
    ProveReport,
    RuleResult,
    ValidateFlavoursReport,
    ValidateReport,
)
from workers.reports.suite import Failed, RanFile, SuiteReport
from workers.tarball import Entry, write_to

ORDERS: dict[str, Any] = json.loads((ROOT / "standin.json").read_text()) if (ROOT / "standin.json").exists() else {}
BILLS = ROOT / "bills"
TOOK = Measure(0.3, 0.2, 1000)
NODES: dict[Stage, list[str]] = {
    "dependencies": ["zlib", "xz"],
    "openssl": ["openssl"],
    "fips-provider": ["fips-provider"],
    "cpython": ["cpython-3.13"],
}


def obey(name: str, where: Places) -> bool:
    """Does what the orders say for this program or stage; whether its report is to say ok."""
    progress = Progress()
    here = ORDERS.get("only", "") in str(where.state)
    wait(name)
    until = time.monotonic() + (ORDERS.get("slow", {}).get(name, 0) if here else 0)
    each_s, seconds = ORDERS.get("chatty", {}).get(name, (0, 0))
    for line in range(each_s * seconds):
        progress.line(f"{line:6} clang -c -O3 -fPIC -flto=full -I./Include -o Objects/object{line}.o Objects/object.c")
        time.sleep(1 / each_s)
    if here and name in ORDERS.get("fill", {}):
        (where.state / "filler").write_bytes(bytes(ORDERS["fill"][name]))
        time.sleep(60)
    while time.monotonic() < until:
        progress.at(1, 4, name)
        time.sleep(0.1)
    progress.line(f"{name}: done by a stand-in")
    if ORDERS.get("wrong_schema") == name:
        where.reports.mkdir(parents=True, exist_ok=True)
        (where.reports / f"{name}.json").write_text('{"schema": "pymint/from-the-future/9", "ok": true}')
        raise SystemExit(0)
    return bool(ORDERS.get("fail") != name)


def wait(name: str) -> None:
    """For the file that the orders name, if they name any."""
    hold = ORDERS.get("hold", {}).get(name)
    while hold and not Path(hold).exists():
        time.sleep(0.5)


def refuse(name: str) -> None:
    raise Failure(
        name, "the stand-in was told to fail", wanted="success", found="an order", todo="Change standin.json."
    )


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def planned(name: str, stage: Stage) -> PlannedNode:
    return PlannedNode(
        name=name,
        stage=stage,
        key=hashlib.sha256(name.encode()).hexdigest(),
        recipe="",
        sources=[name],
        needs=[],
        environment={},
        edits=None,
        inputs={},
        stored=False,
    )


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--python", "version", required=True)
@click.option("--target", required=True)
@click.option("--variant", required=True)
@click.argument("rest", nargs=-1)
@places
@failing_plainly
def plan(version: str, target: str, variant: str, rest: tuple[str, ...], places: Places) -> None:
    cell = load_matrix().cell(version, target, variant)
    ok = obey("plan", places)
    nodes = [planned(name, stage) for stage, names in NODES.items() for name in names]
    pins = [ChosenPin(node.name, "1.2.3", "0" * 64, "1.2.3") for node in nodes]
    made = Plan(
        "pymint/plan/2", CellName(version, target, variant), git("rev-parse", "HEAD"), False,
        int(git("show", "-s", "--format=%ct")), f"{version}.5",
        cell.archive_name(f"{version}.5", "20261123T2015"),
        "1" * 64, False, {"clang": "22"}, ProviderFacts("3.5.7", "toolchain", None, "2.17"), pins, nodes,
        [PlannedFlavour(one, cell.archive_name(f"{version}.5", "20261123T2015", one), "1" * 64, False)
         for one in DERIVED],
    )  # fmt: skip
    write_report(made, places.run / "plan.json")
    write_report(PlanReport("pymint/plan-report/2", ok, made, TOOK), places.reports / "plan.json")
    if not ok:
        refuse("plan")


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("rest", nargs=-1)
@places
@failing_plainly
def sources(rest: tuple[str, ...], places: Places) -> None:
    ok = obey("sources", places)
    fetched = [FetchedSource("zlib", "1.2.3", "0" * 64, 1_500_000, "the cache", 0.0)]
    write_report(SourcesReport("pymint/sources/1", ok, fetched, [], TOOK), places.reports / "sources.json")
    if not ok:
        refuse("sources")


@click.command()
@click.option("--stage", type=click.Choice(STAGES), required=True)
@click.option("--jobs", type=int)
@places
@failing_plainly
def build(stage: Stage, jobs: int | None, places: Places) -> None:
    ok = obey(stage, places)
    places.logs.mkdir(parents=True, exist_ok=True)
    for name in NODES[stage]:
        (places.logs / f"{name}.log").write_text(f"compiling {name}\n")
    keys = {node.name: node.key for node in places.plan().nodes}
    nodes = [BuiltNode(name, keys[name], "3" * 64, 10, "built", TOOK, f"{name}.log") for name in NODES[stage]]
    report = NodesReport("pymint/nodes/1", ok, stage, nodes if ok else [], TOOK, None if ok else f"{stage}: it broke")
    write_report(report, places.reports / f"{stage}.json")
    if not ok:
        refuse(stage)


def _tar_of(text: str, install: str, flavour: str) -> bytes:
    """A tar that holds a text, and beside it what is taken for a bill of materials."""
    out = io.BytesIO()
    files = {f"{install}text": text.encode() * 1000}
    if BILLS.is_dir():
        given = {path.name.removeprefix(flavour): path.read_bytes() for path in sorted(BILLS.glob(f"{flavour}.*.json"))}
    else:
        given = {".cdx.json": json.dumps({"of": text}).encode()}
    files |= {f"{install}share/sbom/cpython-3.13{ending}": bill for ending, bill in given.items()}
    write_to(out, [Entry(path, data=data) for path, data in files.items()], epoch=0)
    return out.getvalue()


def _tar(places: Places) -> bytes:
    return _tar_of(f"a tar of {places.plan().archive_name} of {places.plan().commit}\n", "python/install/", "full")


@click.command()
@places
@failing_plainly
def package(places: Places) -> None:
    ok = obey("package", places)
    tar = _tar(places)
    name = places.plan().archive_name.removesuffix(".zst")
    (places.run / "package").mkdir(parents=True, exist_ok=True)
    (places.run / "package" / name).write_bytes(tar)
    report = PackageReport(
        "pymint/package/1", ok, name, hashlib.sha256(tar).hexdigest(), len(tar), 12, "built", TOOK
    )  # fmt: skip
    write_report(report, places.reports / "package.json")
    if not ok:
        refuse("package")


def _unpacked(archive: Path) -> bytes:
    data = archive.read_bytes()
    return gzip.decompress(data) if archive.name.endswith(".gz") else zstandard.ZstdDecompressor().decompress(data)


def _shown(judge: str, archive: Path | None, places: Places) -> tuple[bool, str, bytes]:
    """Whether the judge is to be content, and with what: the run's archive, or the one that it is shown."""
    if archive is None:
        return obey(judge, places), places.plan().archive_name, _tar(places)
    wait("again")
    return ORDERS.get("again") != judge, archive.name, _unpacked(archive)


@click.command()
@click.argument("archive", type=click.Path(path_type=Path), required=False)
@click.option("--json", "json_path", type=click.Path(path_type=Path))
@places
@failing_plainly
def validate(archive: Path | None, json_path: Path | None, places: Places) -> None:
    ok, name, tar = _shown("validate", archive, places)
    findings = [] if ok else [Finding("python/bin/<script>alert(1)</script>", "GLIBC_2.38", "at most GLIBC_2.17")]
    rules = [RuleResult("elf.glibc-floor", "An archive must start where it is needed.", 3, findings)]
    report = ValidateReport(
        "pymint/validate/1", ok, name, hashlib.sha256(tar).hexdigest(), "x", rules, "2.17", "2.17", TOOK,
    )  # fmt: skip
    write_report(report, json_path or places.reports / "validate.json")
    if not ok:
        refuse("validate")


@click.command()
@click.argument("archive", type=click.Path(path_type=Path), required=False)
@click.option("--json", "json_path", type=click.Path(path_type=Path))
@places
@failing_plainly
def prove(archive: Path | None, json_path: Path | None, places: Places) -> None:
    ok, name, tar = _shown("prove", archive, places)
    checks = [
        Check("md5-refused", "on", "negative", ok, "ValueError", "ValueError" if ok else "a digest"),
        Check("flipped-byte", "tamper", "tamper", True, "refused", "refused"),
    ]
    report = ProveReport(
        "pymint/prove/1", ok, name, hashlib.sha256(tar).hexdigest(), "OpenSSL FIPS Provider",
        "3.5.7", "4" * 64, "toolchain", None, checks, 0.01, 0.11, TOOK,
    )  # fmt: skip
    write_report(report, json_path or places.reports / "prove.json")
    if not ok:
        refuse("prove")


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("rest", nargs=-1)
@places
@failing_plainly
def test(rest: tuple[str, ...], places: Places) -> None:
    ok = obey("test", places)
    plan = places.plan()
    failure = Failed("test_x", "test.test_x.T.test_y", "off", "failed", "<script>", "the sandbox" if ok else None)
    report = SuiteReport(
        schema="pymint/test/1", ok=ok, archive=plan.archive_name, tar_sha256=hashlib.sha256(_tar(places)).hexdigest(),
        tree_sha256="5" * 64, tested=plan.archive_name, origin="run", cell=plan.cell,
        python_version=plan.python_version, extent="quick", why="by a stand-in", resources="all",
        files=[RanFile("test_x", "off", ok, 80, 11, 2.5, 1.5)], failures=[failure], vanished=[], measure=TOOK,
        failed=None if ok else "1 new failure: test_x.T.test_y (FIPS off)",
    )  # fmt: skip
    write_report(report, places.reports / "test.json")
    if not ok:
        refuse("test")


@click.command()
@places
@failing_plainly
def archive(places: Places) -> None:
    ok = obey("archive", places)
    tar = _tar(places)
    name = places.plan().archive_name
    # A skippable frame makes an archive larger and changes nothing in it (RFC 8878, 3.1.2).
    extra = int(ORDERS.get("archive_bytes", 0))
    frame = b"\x50\x2a\x4d\x18" + extra.to_bytes(4, "little") + bytes(extra) if extra else b""
    packed = zstandard.ZstdCompressor().compress(tar) + frame
    said = hashlib.sha256(packed).hexdigest()
    if ORDERS.get("tamper") == "full":
        packed = zstandard.ZstdCompressor().compress(tar.replace(b"tar", b"rat"))
    (places.run / "archive").mkdir(parents=True, exist_ok=True)
    Path(places.run / "archive" / name).write_bytes(packed)
    plan = read_report(places.run / "plan.json", Plan)
    report = ArchiveReport(
        "pymint/archive/1", ok, name, said, len(packed), hashlib.sha256(tar).hexdigest(), len(tar), "built",
        plan.provider, TOOK,
    )  # fmt: skip
    write_report(report, places.reports / "archive.json")
    if not ok:
        refuse("archive")


def _smaller(planned: PlannedFlavour) -> bytes:
    return _tar_of(f"a tar of {planned.name}\n", "python/", planned.flavour)


@click.command()
@click.option("--jobs", type=int)
@places
@failing_plainly
def derive(jobs: int | None, places: Places) -> None:
    ok = obey("derive", places)
    made = []
    for one in places.plan().flavours:
        tar = _smaller(one)
        pack = gzip.compress if one.name.endswith(".gz") else zstandard.ZstdCompressor().compress
        packed = pack(tar)
        said = hashlib.sha256(packed).hexdigest()
        if ORDERS.get("tamper") == one.flavour:
            packed = pack(tar.replace(b"tar", b"rat"))
        (places.run / "archive" / one.name).write_bytes(packed)
        made.append(
            DerivedArchive(
                one.flavour, one.name, said, len(packed), hashlib.sha256(tar).hexdigest(), len(tar), 5, 1, 1, 1, "built"
            )
        )
    full = hashlib.sha256(_tar(places)).hexdigest()
    write_report(DeriveReport("pymint/derive/1", ok, full, "4" * 64, made, 1, TOOK), places.reports / "derive.json")
    if not ok:
        refuse("derive")


@click.command()
@places
@failing_plainly
def validate_flavours(places: Places) -> None:
    ok = obey("validate-flavours", places)
    rules = [RuleResult("flavour.left-out", "Small is what it is for.", 1, [])]
    reports = [
        FlavourValidation(
            one.flavour,
            ValidateReport(
                "pymint/validate/1", True, one.name, hashlib.sha256(_smaller(one)).hexdigest(), "x", rules, "2.17",
                "2.17", TOOK,
            ),
        )
        for one in places.plan().flavours
    ]  # fmt: skip
    report = ValidateFlavoursReport("pymint/validate-flavours/1", ok, reports, TOOK)
    write_report(report, places.reports / "validate-flavours.json")
    if not ok:
        refuse("validate-flavours")


@click.command()
@places
@failing_plainly
def prove_flavours(places: Places) -> None:
    ok = obey("prove-flavours", places)
    checks = [Check("md5-refused", "on", "negative", True, "ValueError", "ValueError")]
    reports = [
        FlavourProof(
            one.flavour,
            ProveReport(
                "pymint/prove/1", True, one.name, hashlib.sha256(_smaller(one)).hexdigest(), "OpenSSL FIPS Provider",
                "3.5.7", "4" * 64, "toolchain", None, checks, 0.01, 0.11, TOOK,
            ),
        )
        for one in places.plan().flavours if one.flavour != "debug_symbols"
    ]  # fmt: skip
    found = [Check("debug_symbols.found.python3", "off", "positive", ok, "main.c", "main.c" if ok else "nothing")]
    report = ProveFlavoursReport("pymint/prove-flavours/1", ok, reports, found, TOOK)
    write_report(report, places.reports / "prove-flavours.json")
    if ORDERS.get("exchange"):
        said = read_report(places.reports / "plan.json", PlanReport)
        other = dataclasses.replace(said.plan, toolchain={"clang": "another"})
        write_report(dataclasses.replace(said, plan=other), places.reports / "plan.json")
    if not ok:
        refuse("prove-flavours")
