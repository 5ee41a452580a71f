"""What PYTHON.json has no field for: FIPS.json, what may be said of the FIPS module, and BUILD.json, what went in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from workers.cpython import EMULATOR
from workers.package.tree import SSL, ProviderFiles, licence_name
from workers.reports.base import encode
from workers.reports.build import CellName, ChosenPin, Plan, ProviderFacts
from workers.store import sha256_of


@dataclass(frozen=True)
class FipsDocument:
    """python/FIPS.json. Paths are relative to the archive's `python/`; statement is a sentence for people."""

    schema: Literal["pymint/fips/1"]
    provider: ProviderFacts
    provider_sha256: str
    module: str
    module_config: str
    config: str
    statement: str


@dataclass(frozen=True)
class Ingredient:
    """A node that went in, or was needed for one that did.

    digest: of its object, if files of it are in the archive; else None. licences: the texts for what is in it.
    """

    node: str
    key: str
    digest: str | None
    licences: list[str]


@dataclass(frozen=True)
class BuildDocument:
    """python/BUILD.json: enough to build the same again. epoch: the time of the commit and every file, UNIX seconds.

    training_emulator: what ran the training of PGO where the target's own processor did not, in words; else "".
    """

    schema: Literal["pymint/build/1"]
    cell: CellName
    python_version: str
    commit: str
    dirty: bool
    epoch: int
    archive_key: str
    toolchain: dict[str, str]
    pins: list[ChosenPin]
    nodes: list[Ingredient]
    training_emulator: str = ""


def statement(facts: ProviderFacts) -> str:
    """What may be said, and no more: the word "validated" only with a certificate."""
    if facts.certificate is not None:
        return (
            f"The module is OpenSSL FIPS Provider {facts.provider_version}, built by the procedure of its Security "
            f"Policy: the CMVP-validated module of certificate {facts.certificate}. Whether this operating environment "
            "is a tested one is for its user to say."
        )
    return (
        f"The module is the FIPS provider of OpenSSL {facts.provider_version}, procedure {facts.procedure!r}. "
        "It is not CMVP-validated."
    )


def fips_document(plan: Plan, files: ProviderFiles) -> bytes:
    """FIPS.json for a plan's provider and the very module that is packed."""
    ssl = SSL.removeprefix("python/")
    return encode(
        FipsDocument(
            schema="pymint/fips/1",
            provider=plan.provider,
            provider_sha256=sha256_of(files.module),
            module=f"{ssl}ossl-modules/{files.module.name}",
            module_config=f"{ssl}fipsmodule.cnf",
            config=f"{ssl}openssl-fips.cnf",
            statement=statement(plan.provider),
        )
    )


def build_document(plan: Plan, digests: Mapping[str, str], sources: Mapping[str, list[str]]) -> bytes:
    """BUILD.json. digests, sources: of the nodes that went in; those that only helped to make others have none."""
    return encode(
        BuildDocument(
            schema="pymint/build/1",
            cell=plan.cell,
            python_version=plan.python_version,
            commit=plan.commit,
            dirty=plan.dirty,
            epoch=plan.epoch,
            archive_key=plan.archive_key,
            toolchain=plan.toolchain,
            pins=plan.pins,
            nodes=[
                Ingredient(
                    node=node.name,
                    key=node.key,
                    digest=digests.get(node.name),
                    licences=[licence_name(source) for source in sources.get(node.name, [])],
                )
                for node in plan.nodes
            ],
            training_emulator=next(
                (node.environment[EMULATOR] for node in plan.nodes if EMULATOR in node.environment), ""
            ),
        )
    )
