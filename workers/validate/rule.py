"""What a rule is: an id, a sentence that says why, what it looks at, and a loop that yields findings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from workers.errors import Failure
from workers.package.beside import BuildDocument
from workers.package.python_json import PythonJson, decode
from workers.reports.checks import Finding
from workers.validate.contents import Contents
from workers.validate.policy import Policy, TargetRules
from workers.validate.tbd import Sdk

S = TypeVar("S")

DOCUMENT = "PYTHON.json"


@dataclass(frozen=True)
class Family:
    """What the other archives of the same build hold, where they are known: for rules that compare.

    provider_sha256: of the FIPS module in the full one. licences: names of its texts. debug: path by build id, of the
    binaries in install_only that have debug information. build: the full one's BUILD.json.
    """

    provider_sha256: str
    licences: frozenset[str]
    debug: Mapping[str, str]
    build: BuildDocument | None = None


@dataclass(frozen=True)
class Case:
    """An archive before its judge.

    document: PYTHON.json, None when there is none or it can't be read; complaint: why. triple, version (`3.13`) and
    options (`pgo+lto`): from the document, else from the archive's name, else from its binaries or library, else None.
    named_triple: what the name alone says. sdks: macOS SDKs to hold symbols against; without any nothing is held.
    family: None when the archive is judged alone.
    """

    contents: Contents
    policy: Policy
    document: PythonJson | None = None
    complaint: str | None = None
    triple: str | None = None
    version: str | None = None
    options: str | None = None
    named_triple: str | None = None
    sdks: tuple[Sdk, ...] = ()
    family: Family | None = None

    @cached_property
    def modules(self) -> tuple[frozenset[str], frozenset[str]] | None:
        """The modules that have to be there, all and the shared ones; None when they are not known."""
        return self.policy.modules_for(self.version or "", self.triple or "")

    @cached_property
    def libpython_exports(self) -> frozenset[str]:
        """What embedding programs find in libpython."""
        names: set[str] = set()
        for elf in self.contents.elves:
            if elf.linked and elf.name.startswith("libpython") and ".so.1" in elf.name:
                names |= elf.exported
        for macho in self.contents.machos:
            if macho.linked and macho.name.startswith("libpython"):
                names |= {name.removeprefix("_") for name in macho.exported}
        return frozenset(names)

    @property
    def target(self) -> TargetRules | None:
        return self.policy.targets.get(self.triple) if self.triple is not None else None

    def path(self, below_install: str) -> str:
        """`install/bin/python3` in a full archive, `bin/python3` in the smaller flavours."""
        return self.contents.install + below_install


@dataclass(frozen=True)
class Rule:
    """A rule. `of` gives the things that it judges; `check` yields what is wrong with one of them."""

    id: str
    why: str
    of: Callable[[Case], Iterable[Any]]
    check: Callable[[Any, Case], Iterator[Finding]]

    @property
    def group(self) -> str:
        return self.id.partition(".")[0]


RULES: dict[str, Rule] = {}


def rule(
    name: str, *, of: Callable[[Case], Iterable[S]], why: str
) -> Callable[[Callable[[S, Case], Iterator[Finding]]], Callable[[S, Case], Iterator[Finding]]]:
    """Registers a check as the rule `name`."""

    def register(check: Callable[[S, Case], Iterator[Finding]]) -> Callable[[S, Case], Iterator[Finding]]:
        if name in RULES:
            raise ValueError(f"two rules are called {name}")
        RULES[name] = Rule(name, why, of, check)
        return check

    return register


def whole(case: Case) -> Iterator[Contents]:
    """For rules that judge an archive as one thing."""
    yield case.contents


def running(case: Case) -> Iterator[Contents]:
    """The same, but of an archive that has an interpreter: not of debug symbols."""
    if case.contents.runs:
        yield case.contents


def document(case: Case) -> Iterator[PythonJson]:
    """For rules that judge PYTHON.json; one that can't be read is the finding of one rule, not of all."""
    if case.document is not None:
        yield case.document


def _of_its_machine(contents: Contents, policy: Policy) -> str | None:
    """The target whose processor the first linked binary is for: of an archive that says nothing of itself."""
    machines = [elf.machine for elf in contents.elves if elf.linked] + [m.machine for m in contents.machos if m.linked]
    return next((name for name, target in policy.targets.items() if machines[:1] == [target.machine]), None)


def _of_its_library(contents: Contents) -> str | None:
    """The version whose standard library an archive holds: `3.13` of lib/python3.13t/os.py."""
    found = (re.fullmatch(r"(?:install/)?lib/python(3\.\d+)t?/os\.py", path) for path in sorted(contents.paths))
    return next((match[1] for match in found if match), None)


def make_case(contents: Contents, policy: Policy, sdks: tuple[Sdk, ...] = (), family: Family | None = None) -> Case:
    """Reads PYTHON.json and the archive's name."""
    found: PythonJson | None = None
    complaint = None
    text = contents.texts.get(DOCUMENT)
    if text is not None:
        try:
            found = decode(text.encode())
        except Failure as failure:
            complaint = failure.found
    named = next((triple for triple in policy.targets if f"-{triple}-" in contents.name), None)
    numbered = re.search(r"cpython-(\d+\.\d+)", contents.name)
    minor = numbered[1] if numbered else _of_its_library(contents)
    triple, options = named or _of_its_machine(contents, policy), None
    if found is not None:
        triple, minor = found.target_triple, found.python_major_minor_version
        options = found.build_options if isinstance(found.build_options, str) else found.optimizations
    return Case(contents, policy, found, complaint, triple, minor, options, named, sdks, family)
