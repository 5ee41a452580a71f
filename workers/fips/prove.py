"""The proof: unpacks an archive at a fresh path and runs every check of this folder on it, FIPS off and on."""

from __future__ import annotations

import errno
import os
import shutil
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from workers.features.wanted import try_features
from workers.fips.claims import Module, claims, read_module, running
from workers.fips.inside import Inside, ask, judge
from workers.fips.running import run
from workers.fips.setup import USES, Use, try_use
from workers.fips.switch import STARTS, Start, try_late, try_start
from workers.fips.tampering import TAMPERINGS, NotHere, Tampering, tamper
from workers.fips.tree import MODULES, Tree, find_tree, link_tree, read_document
from workers.fips.vectors import Suite, names, try_vectors, unpack_suite, why_not
from workers.machine import emulation_of, machine_of
from workers.model import load_matrix
from workers.moved.building import BUILDINGS, Building, try_building
from workers.moved.packages import PACKAGES, Package, try_package
from workers.moved.places import PLACES, Place, try_compiler, try_place
from workers.progress import Progress
from workers.reports.base import Measure
from workers.reports.build import Plan, ProviderFacts
from workers.reports.checks import Check, ProveReport, Skipped
from workers.room import in_use
from workers.tarball import extract

# A space and a letter that is not ASCII: what breaks shell words, shebangs and encodings breaks here.
FRESH = "a fresh pläce"
# Parts of a full archive that nothing here runs: objects, static libraries, licences.
_NOT_UNPACKED = ("python/build/", "python/licenses/")
_LOADS = 5
# Of the groups whose checks are not made with FIPS on.
_MODES: dict[str, Literal["off", "on", "tamper"]] = {"moved": "off", "tamperings": "tamper"}


@dataclass(frozen=True)
class Step:
    """A check that works on trees of its own, in the folder that it is given."""

    id: str
    make: Callable[[Path], Check]


def prove(
    archive: Path,
    scratch: Path,
    progress: Progress,
    plan: Plan | None = None,
    suites: Sequence[Path] | str = (),
) -> ProveReport:
    """Proves an archive. A check that does not hold is in the report, it is no exception.

    scratch: a folder that is made, and removed in the end, on a file system with room for the unpacked archive.
    suites: objects of the node openssl-tests; taken is the first that is of the module's release and machine. A text
    says why the module is not tried by them.
    Raises Failure when the archive can't be read to its end.
    """
    with _fresh(scratch) as top:
        progress.at(0, 10, f"unpacking {archive.name}")
        unpacked = top / FRESH
        digest = extract(archive, unpacked, wanted=lambda member: not member.startswith(_NOT_UNPACKED))
        tree, document = find_tree(unpacked), read_document(unpacked)
        emulator = emulator_for(tree)
        module = read_module(tree)
        facts = plan.provider if plan is not None else document.provider if document is not None else None

        progress.at(1, 10, "asking the interpreter")
        off, on = ask(tree, top, "off"), ask(tree, top, "on")
        checks = [*claims(tree, module, document, plan), *running(facts, plan, on.provider(), off.libcrypto())]
        skipped: list[Skipped] = []
        _tell(progress, "files and claims", checks, skipped)
        judged = [("inside, FIPS off", judge(off, module, "off")), ("inside, FIPS on", judge(on, module, "on"))]
        judged.append(("features", try_features(tree)))
        suite = _suite(tree, suites, top)
        groups = {
            "moved": _moved(tree), "starts": _starts(tree), "fips_setup": _uses(tree),
            "tamperings": _tamperings(tree), "OpenSSL's tests": _vectors(tree, suite),
        }  # fmt: skip
        for number, (name, steps) in enumerate(groups.items(), 1):
            judged.append((name, _make_all(list(steps), top, progress, 2 * number, name)))
        for name, (made, left_out) in judged:
            _tell(progress, name, made, left_out)
            checks += made
            skipped += left_out
        progress.at(9, 10, "measuring what loading costs")
        costs = _load_cost(tree, {}), _load_cost(tree, {"PYTHON_FIPS": "1"})
    return replace(_report(archive, digest, module, facts, (off, on), checks, skipped, costs), emulator=emulator)


def emulator_for(tree: Tree) -> str:
    """What runs the tree's programs where this machine does not itself, in words. Raises Failure when nothing does."""
    arch = machine_of(tree.python) if tree.python is not None else None
    foreign = [target for target in load_matrix().targets.values() if target.os == "linux" and target.arch == arch]
    return emulation_of(foreign[0]) if foreign else ""


def _report(
    archive: Path,
    digest: str,
    module: Module,
    facts: ProviderFacts | None,
    inside: tuple[Inside, Inside],
    checks: list[Check],
    skipped: list[Skipped],
    costs: tuple[float, float],
) -> ProveReport:
    provider = inside[1].provider()
    return ProveReport(
        schema="pymint/prove/1",
        ok=all(check.ok for check in checks),
        archive=archive.name,
        tar_sha256=digest,
        provider_name=provider[0] if provider else "none",
        provider_version=provider[1] if provider else "none",
        provider_sha256=module.sha256,
        procedure=facts.procedure if facts is not None else "unknown",
        certificate=facts.certificate if facts is not None else None,
        checks=checks,
        load_cpu_off_s=costs[0],
        load_cpu_on_s=costs[1],
        measure=Measure(),
        libcrypto=inside[0].libcrypto(),
        skipped=skipped,
    )


def _starts(tree: Tree) -> Iterator[Step]:
    def starting(start: Start) -> Callable[[Path], Check]:
        def make(where: Path) -> Check:
            beside = where / "beside"
            beside.mkdir(parents=True)
            return try_start(link_tree(tree, where / FRESH), start, beside)

        return make

    yield from (Step(f"start.{start.id}", starting(start)) for start in STARTS)
    yield Step("start.too-late", lambda where: try_late(tree))


def _moved(tree: Tree) -> Iterator[Step]:
    def placing(place: Place) -> Callable[[Path], Check]:
        return lambda where: try_place(tree, place, where)

    def building_in(building: Building) -> Callable[[Path], Check]:
        return lambda where: try_building(tree, building, where)

    def trying(package: Package) -> Callable[[Path], Check]:
        return lambda where: try_package(tree, package, where)

    yield from (Step(f"moved.{place.id}", placing(place)) for place in PLACES)
    yield from (Step(f"moved.{package.id}", trying(package)) for package in PACKAGES)
    yield Step("moved.compiler", lambda where: try_compiler(tree))
    yield from (Step(f"moved.{building.id}", building_in(building)) for building in BUILDINGS)


def _tamperings(tree: Tree) -> Iterator[Step]:
    def damaging(tampering: Tampering) -> Callable[[Path], Check]:
        return lambda where: tamper(tree, tampering, where / FRESH)

    if tree.module is None:
        missing = Check("tamper", "tamper", "tamper", False, f"a module in {MODULES} to tamper with", "there is none")
        yield Step("tamper", lambda where: missing)
        return
    yield from (Step(f"tamper.{tampering.id}", damaging(tampering)) for tampering in TAMPERINGS)


def _uses(tree: Tree) -> Iterator[Step]:
    def using(use: Use) -> Callable[[Path], Check]:
        return lambda where: try_use(link_tree(tree, where / FRESH), use)

    yield from (Step(f"setup.{use.id}", using(use)) for use in USES)


def _suite(tree: Tree, suites: Sequence[Path] | str, top: Path) -> Suite | str:
    """OpenSSL's tests for the tree's module, unpacked; or why there are none."""
    if tree.module is None:
        return "the archive has no FIPS module"
    if isinstance(suites, str):
        return suites
    reason = "no OpenSSL tests are stored here; a build with this provider leaves them in its store"
    for number, packed in enumerate(suites):
        suite = unpack_suite(packed, top / f"openssl-tests {number}")
        mismatch = why_not(suite, tree.module.read_bytes())
        if mismatch is None:
            return suite
        reason = mismatch
    return reason


def _vectors(tree: Tree, suite: Suite | str) -> Iterator[Step]:
    def left_out(where: Path) -> Check:
        raise NotHere(str(suite))

    def testing(suite: Suite, name: str) -> Callable[[Path], Check]:
        return lambda where: try_vectors(tree, suite, name, where)

    if isinstance(suite, str):
        yield Step("vectors", left_out)
        return
    yield from (Step(f"vectors.{name}", testing(suite, name)) for name in names(suite))


def _make_all(
    steps: Sequence[Step], top: Path, progress: Progress, first: int, name: str
) -> tuple[list[Check], list[Skipped]]:
    """Makes the checks side by side; in the order of the steps, and each folder is removed when it has been used."""
    checks: list[Check] = []
    skipped: list[Skipped] = []

    def make(numbered: tuple[int, Step]) -> Check | Skipped:
        number, step = numbered
        where = top / f"{name} {number}"
        where.mkdir()
        try:
            return step.make(where)
        except NotHere as reason:
            return Skipped(step.id, str(reason))
        except Exception as error:  # what an archive holds and answers is its maker's
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            mode = _MODES.get(name, "on")
            return Check(
                step.id, mode, "neutral", False, "a check that can be made", f"{type(error).__name__}: {error}"
            )
        finally:
            _remove(where)

    with ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 8)) as pool:
        for done, outcome in enumerate(pool.map(make, enumerate(steps)), 1):
            if isinstance(outcome, Check):
                checks.append(outcome)
            else:
                skipped.append(outcome)
            progress.at(first + 2 * done / len(steps), 10, f"{name}: {outcome.id}")
    return checks, skipped


def _load_cost(tree: Tree, environment: dict[str, str]) -> float:
    """The median of the CPU seconds of a process that imports hashlib; 0 when there is no interpreter."""
    if tree.python is None:
        return 0.0
    runs = [run(tree.python, ["-I", "-c", "import hashlib"], environment).cpu_s for _ in range(_LOADS)]
    return round(statistics.median(runs), 4)


def _tell(progress: Progress, name: str, checks: Sequence[Check], skipped: Sequence[Skipped]) -> None:
    """A line for a group of checks."""
    wrong = [check for check in checks if not check.ok]
    more = f", {len(skipped)} not possible here" if skipped else ""
    verdict = f"{len(wrong)} of {len(checks)} FAILED" if wrong else f"{len(checks)} held"
    progress.line(f"{name:18} {verdict}{more}")


@contextmanager
def _fresh(scratch: Path) -> Iterator[Path]:
    _remove(scratch)
    scratch.mkdir(parents=True)
    try:
        with in_use(scratch):
            # Resolved: what the interpreter says of its own place has no symbolic links in it.
            yield scratch.resolve()
    finally:
        _remove(scratch)


def _remove(directory: Path) -> None:
    """Removes a folder, folders without write permission in it included."""
    for name, _, _ in os.walk(directory):
        Path(name).chmod(0o755)
    shutil.rmtree(directory, ignore_errors=True)
