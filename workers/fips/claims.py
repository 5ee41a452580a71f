"""What an archive says of its FIPS module, held against the module's own bytes and against the plan."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workers.errors import Failure
from workers.fips.config import checks_of, module_mac, parse_fipsmodule, self_contained
from workers.fips.tree import CONFIG, MODULE_CONFIG, MODULES, Tree
from workers.package.beside import FipsDocument
from workers.plan import CERTIFICATE, VALIDATED_PROVIDER
from workers.reports.build import Plan, ProviderFacts
from workers.reports.checks import Check


@dataclass(frozen=True)
class Module:
    """The module as found: its digest, and the settings of its config. Empty when there is none.

    checks: those that it knows and that its own build turned on, so that they have to be among the settings.
    """

    sha256: str
    settings: dict[str, str]
    checks: frozenset[str] = frozenset()


def read_module(tree: Tree) -> Module:
    """Never fails: what can't be read is found by `claims`."""
    module = tree.module.read_bytes() if tree.module else None
    sha256 = hashlib.sha256(module).hexdigest() if module is not None else ""
    try:
        settings = parse_fipsmodule(tree.module_config.read_text())
    except (OSError, UnicodeDecodeError, Failure):
        settings = {}
    return Module(sha256, settings, checks_of(module or b""))


def claims(tree: Tree, module: Module, document: FipsDocument | None, plan: Plan | None) -> Iterator[Check]:
    """The checks that need nothing to run: files, MAC, and that archive and plan say the same of the same bytes."""
    yield _check(
        "files.module", tree.module is not None, f"a FIPS module in {MODULES}", _name(tree.module) or "no module there"
    )
    yield from _of_the_configs(tree, module)
    yield _check("files.unmarked", not tree.marker.is_symlink() and not tree.marker.exists(), "FIPS off as shipped",
                 "the archive has fips-enabled" if tree.marker.exists() else "no fips-enabled")  # fmt: skip
    if document is not None:
        yield _check(
            "claims.module", document.provider_sha256 == module.sha256, f"sha256 {document.provider_sha256}",
            f"sha256 {module.sha256 or 'of nothing: no module'}",
        )  # fmt: skip
    if plan is not None:
        found = document.provider if document is not None else None
        yield _check("claims.provider", found == plan.provider, in_words(plan.provider), in_words(found))
    facts = plan.provider if plan is not None else document.provider if document is not None else None
    if facts is not None:
        said = (facts.provider_version, facts.procedure, facts.certificate)
        yield _check(
            "claims.certificate",
            facts.certificate is None or said == (VALIDATED_PROVIDER, "policy", CERTIFICATE),
            f"no certificate, or {CERTIFICATE} for {VALIDATED_PROVIDER} by the procedure of its policy",
            in_words(facts),
        )


def _of_the_configs(tree: Tree, module: Module) -> Iterator[Check]:
    mac = module_mac(tree.module.read_bytes()) if tree.module else "no module"
    noted = module.settings.get("module-mac", "no such line")
    yield _check("files.mac", mac == noted, f"module-mac = {mac}, the module's own", f"{MODULE_CONFIG}: {noted}")
    off = sorted(name for name in module.checks if module.settings.get(name) != "1")
    yield _check("files.checks", not off, f"every check that the module knows is on in {MODULE_CONFIG}",
                 f"not on: {', '.join(off)}" if off else f"{len(module.checks)} of them on")  # fmt: skip
    try:
        wanted = self_contained(tree.module_config.read_text())
        found = tree.config.read_text()
    except (OSError, UnicodeDecodeError, Failure) as error:
        what = error.what if isinstance(error, Failure) else str(error)
        yield _check("files.config", False, f"a {CONFIG} made of {MODULE_CONFIG}", what)
        return
    same = _lines(wanted) == _lines(found)
    yield _check("files.config", same, f"{CONFIG} turns on the module of {MODULE_CONFIG}, and says nothing else",
                 "so it does" if same else _difference(_lines(wanted), _lines(found)))  # fmt: skip


def running(
    facts: ProviderFacts | None, plan: Plan | None, reported: list[str] | None, libcrypto: str
) -> Iterator[Check]:
    """The versions that answered, against what the archive or the plan says. libcrypto: `ssl.OPENSSL_VERSION`."""
    if facts is not None:
        version = reported[1] if reported else "no provider answered"
        yield _check("claims.version", version == facts.provider_version, f"version {facts.provider_version}", version)
    for pin in plan.pins if plan is not None else ():
        if pin.source == "openssl":
            wanted = f"OpenSSL {pin.version} "
            yield _check(
                "claims.libcrypto", libcrypto.startswith(wanted), f"{wanted}…, as planned", libcrypto or "none"
            )


def in_words(facts: ProviderFacts | None) -> str:
    """Version, procedure, and certificate where there is one. The word "validated" stands nowhere else."""
    if facts is None:
        return "nothing is said of it"
    claim = f"CMVP-validated, certificate {facts.certificate}" if facts.certificate else "not CMVP-validated"
    return f"{facts.provider_version}, procedure {facts.procedure}, {claim}"


def _check(name: str, ok: bool, wanted: str, found: str) -> Check:
    return Check(name, "off", "positive", ok, wanted, found)


def _name(path: Path | None) -> str | None:
    return path.name if path is not None else None


def _lines(text: str) -> list[str]:
    """Without comments, blank lines and the space around `=`, which say nothing."""
    stripped = (line.partition("#")[0].strip() for line in text.splitlines())
    return [" = ".join(part.strip() for part in line.split("=", 1)) for line in stripped if line]


def _difference(wanted: list[str], found: list[str]) -> str:
    missing = [line for line in wanted if line not in found]
    more = [line for line in found if line not in wanted]
    parts = [f"missing: {'; '.join(missing)}"] if missing else []
    parts += [f"too much: {'; '.join(more)}"] if more else []
    return ", ".join(parts) or "the same lines in another order"
