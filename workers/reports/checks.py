"""The reports of validate and prove: what was checked on which bytes, and what was found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from workers.model import Flavour
from workers.reports.base import Measure


@dataclass(frozen=True)
class Finding:
    """A rule that did not hold for a file. All of it is text for people."""

    file: str
    found: str
    wanted: str


@dataclass(frozen=True)
class RuleResult:
    """A rule of the validator. `looked_at`: how many files or facts it judged; 0 says that it had nothing to judge."""

    id: str
    why: str
    looked_at: int
    findings: list[Finding]


@dataclass(frozen=True)
class ValidateReport:
    """`tar_sha256` is the digest of the uncompressed tar, the same before and after compression."""

    schema: Literal["pymint/validate/1"]
    ok: bool
    archive: str
    tar_sha256: str
    policy: str
    rules: list[RuleResult]
    glibc_floor: str | None
    provider_glibc_floor: str | None
    measure: Measure


@dataclass(frozen=True)
class Check:
    """One check of the proof. mode: with FIPS off, on, or on a tampered copy. `found` says what happened."""

    id: str
    mode: Literal["off", "on", "tamper"]
    kind: Literal["positive", "negative", "tamper", "neutral"]
    ok: bool
    wanted: str
    found: str


@dataclass(frozen=True)
class Skipped:
    """A check of the proof that could not be made here, and why."""

    id: str
    why: str


@dataclass(frozen=True)
class ProveReport:
    """load_cpu_s: CPU seconds that `import hashlib` costs a process, medians, with FIPS off and on.

    procedure and certificate are the archive's or the plan's words ("unknown" where it says nothing); libcrypto is what
    `ssl.OPENSSL_VERSION` says. emulator: what ran the archive where the machine does not itself; its times are then not
    those of a real processor.
    """

    schema: Literal["pymint/prove/1"]
    ok: bool
    archive: str
    tar_sha256: str
    provider_name: str
    provider_version: str
    provider_sha256: str
    procedure: str
    certificate: str | None
    checks: list[Check]
    load_cpu_off_s: float
    load_cpu_on_s: float
    measure: Measure
    libcrypto: str = ""
    skipped: list[Skipped] = field(default_factory=list)
    emulator: str = ""


@dataclass(frozen=True)
class FlavourValidation:
    flavour: Flavour
    report: ValidateReport


@dataclass(frozen=True)
class ValidateFlavoursReport:
    """Every archive that was derived from the full one, by the rules for its flavour."""

    schema: Literal["pymint/validate-flavours/1"]
    ok: bool
    reports: list[FlavourValidation]
    measure: Measure


@dataclass(frozen=True)
class FlavourProof:
    flavour: Flavour
    report: ProveReport


@dataclass(frozen=True)
class ProveFlavoursReport:
    """reports: the proof of each flavour that has an interpreter. checks: what the smaller flavours promise besides.

    Their ids begin with the flavour: bytecode that is used, debug symbols that a debugger finds.
    """

    schema: Literal["pymint/prove-flavours/1"]
    ok: bool
    reports: list[FlavourProof]
    checks: list[Check]
    measure: Measure
