"""What is new in a release since the one before. Pure: of two plans."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from master.release.model import Plan, ReleasedCell


@dataclass(frozen=True)
class Change:
    """before, after: what was and is said of `what`; "" where it was not there, or is not any more."""

    what: str
    before: str
    after: str


@dataclass(frozen=True)
class Changes:
    """bumps: of sources, CPython's first. added, gone: cells by builder name. others: provider, floors."""

    since: str
    bumps: list[Change] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    others: list[Change] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        return not (self.bumps or self.added or self.gone or self.others)


def _joined(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values)))


def versions_of(plan: Plan) -> dict[str, set[str]]:
    """The versions of each source that anything in the release is made of."""
    found: dict[str, set[str]] = {}
    for cell in plan.cells:
        for pin in cell.pins:
            found.setdefault(pin.source, set()).add(pin.version)
    return found


def _sources(plan: Plan) -> dict[str, str]:
    return {source: _joined(versions) for source, versions in versions_of(plan).items()}


def provider_in_words(cell: ReleasedCell) -> str:
    """The word "validated" for none but the module of a certificate."""
    provider = cell.provider
    claim = f"CMVP-validated, certificate {provider.certificate}" if provider.certificate else "not CMVP-validated"
    less = "" if provider.slh_dsa else ", without SLH-DSA"
    return f"OpenSSL FIPS provider {provider.provider_version}, procedure {provider.procedure}{less}, {claim}"


def _by_target(plan: Plan, told: Callable[[ReleasedCell], str]) -> dict[str, str]:
    targets = sorted({cell.cell.target for cell in plan.cells})
    return {
        target: _joined(told(cell) for cell in plan.cells if cell.cell.target == target) for target in targets
    }  # fmt: skip


def floor(cell: ReleasedCell) -> str:
    """The oldest system that the interpreter starts on, as far as it is known by a number."""
    if cell.glibc_floor is not None:
        return f"glibc {cell.glibc_floor}"
    return f"macOS {cell.deployment_target}" if cell.deployment_target is not None else ""


def module_floor(cell: ReleasedCell) -> str:
    """The same for the FIPS module, which may be built elsewhere than the interpreter."""
    return f"glibc {cell.provider_glibc_floor}" if cell.provider_glibc_floor is not None else ""


def changes(plan: Plan, before: Plan) -> Changes:
    """What changed from one plan to the next."""
    old, new = _sources(before), _sources(plan)
    bumps = [
        Change(source, old.get(source, ""), new.get(source, ""))
        for source in sorted(old.keys() | new.keys(), key=lambda one: (not one.startswith("cpython-"), one))
        if old.get(source) != new.get(source)
    ]
    cells = [{cell.builder for cell in one.cells} for one in (before, plan)]
    others = []
    for title, told in (
        ("FIPS provider", provider_in_words), ("needs", floor), ("FIPS module needs", module_floor),
    ):  # fmt: skip
        was, is_now = _by_target(before, told), _by_target(plan, told)
        others += [
            Change(f"{title}, {target}", was[target], is_now[target])
            for target in sorted(was.keys() & is_now.keys())
            if was[target] != is_now[target]
        ]
    return Changes(before.tag, bumps, sorted(cells[1] - cells[0]), sorted(cells[0] - cells[1]), others)
