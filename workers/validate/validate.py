"""Judges one archive: reads it, chooses the policy where nobody did, and puts the report together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from workers.reports.base import Measure
from workers.reports.checks import ValidateReport
from workers.tarball import reading
from workers.validate.contents import Contents, Needles, below_python, read_contents
from workers.validate.elf import newest_glibc
from workers.validate.judge import holds, judge
from workers.validate.places import needles_for
from workers.validate.policy import Policy, load_policy, policy_for
from workers.validate.rule import Family, make_case
from workers.validate.rules.elf import is_provider
from workers.validate.tbd import Sdk


def choose_policy(archive: Path) -> Policy:
    """The policy of the archive's kind, seen from its members' names and its own. Raises Failure when it is damaged."""
    with reading(archive) as tar:
        paths = frozenset(below_python(member.path) for member, _ in tar.only(lambda member: False))
    return load_policy(policy_for(paths, archive.name))


def validate(
    archive: Path,
    policy: Policy,
    own_places: Iterable[Path] = (),
    told: Callable[[int], None] = lambda done: None,
    sdks: tuple[Sdk, ...] = (),
) -> ValidateReport:
    """Judges an archive. own_places: directories of this machine, where it was built here. Raises Failure when damaged.

    told hears how many bytes of the tar were read. sdks: macOS SDKs to hold Mach-O files' symbols against.
    The report's measure is left empty: the caller's watch knows better.
    """
    return judged(read(archive, policy, own_places, told), policy, sdks=sdks)


def read(
    archive: Path,
    policy: Policy,
    own_places: Iterable[Path] = (),
    told: Callable[[int], None] = lambda done: None,
) -> Contents:
    """An archive's facts, as `validate` judges them."""
    own = needles_for(own_places)
    return read_contents(archive, Needles((*policy.build_paths, *own), policy.machine_paths), told)


def judged(
    contents: Contents, policy: Policy, family: Family | None = None, sdks: tuple[Sdk, ...] = ()
) -> ValidateReport:
    """The report on an archive that was read; with `family`, also by the rules that compare it with the others."""
    results = judge(make_case(contents, policy, sdks, family))
    return ValidateReport(
        schema="pymint/validate/1",
        ok=holds(results),
        archive=contents.name,
        tar_sha256=contents.tar_sha256,
        policy=policy.name,
        rules=results,
        glibc_floor=_floor(contents, provider=False),
        provider_glibc_floor=_floor(contents, provider=True),
        measure=Measure(),
    )


def _floor(contents: Contents, *, provider: bool) -> str | None:
    return newest_glibc([elf for elf in contents.elves if elf.linked and is_provider(elf) == provider])
