"""Rules for the FIPS module: its bytes are those that its MAC was made of, and its config turns it on anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from workers.derive.layout import FIPS_DOCUMENT
from workers.package.beside import FipsDocument
from workers.plan import CERTIFICATE, VALIDATED_PROVIDER
from workers.reports.checks import Finding
from workers.validate.contents import Contents
from workers.validate.elf import Elf
from workers.validate.macho import MachO
from workers.validate.rule import Case, rule, whole
from workers.validate.rules import macho as macho_rules
from workers.validate.rules.elf import above_floor, is_provider, linked

_SSL = "share/ssl/"
_LIBC = frozenset({"libc.so.6", "libdl.so.2", "libpthread.so.0"})
_LIBSYSTEM = "/usr/lib/libSystem.B.dylib"
_SECTION = re.compile(r"^\s*\[\s*([^\]\s]+)\s*\]")
_ASSIGNMENT = re.compile(r"^\s*([\w.-]+)\s*=\s*(.*?)\s*$")
# What is read here as OpenSSL reads it. Quotes, backslashes, `section::name` and variables mean more to it.
_PLAIN = re.compile(r"(?:\[\s*[\w.-]+\s*\]|[\w.-]+\s*=\s*[\w.,:=?/+ -]*)?", re.ASCII)
# Of the module's section: what a build on the target machine may change, or what says nothing of strictness.
_NOT_STRICTNESS = frozenset({"module-mac", "install-version", "install-mac", "install-status"})


def wanted_at_all(case: Case) -> Iterator[Contents]:
    if case.policy.fips != "off" and case.contents.runs:
        yield case.contents


def strict(case: Case) -> Iterator[Contents]:
    if case.policy.fips == "strict" and case.contents.runs:
        yield case.contents


def modules(case: Case) -> Iterator[str]:
    yield from case.contents.macs


def configs(case: Case) -> Iterator[str]:
    """The paths of the module's configs that the archive has."""
    names = ("fipsmodule.cnf", "openssl-fips.cnf")
    return (path for name in names if (path := case.path(_SSL + name)) in case.contents.texts)


def providers(case: Case) -> Iterator[Elf]:
    return (elf for elf in linked(case) if is_provider(elf))


def macho_providers(case: Case) -> Iterator[MachO]:
    return (macho for macho in macho_rules.linked(case) if macho_rules.is_provider(macho))


def either_providers(case: Case) -> Iterator[Elf | MachO]:
    yield from providers(case)
    yield from macho_providers(case)


def sections(text: str) -> dict[str, dict[str, str]]:
    """An OpenSSL config: section → name → value. What stands before the first section is in the section ``."""
    found: dict[str, dict[str, str]] = {"": {}}
    current = found[""]
    for raw in text.split("\n"):  # no other end of a line is one to OpenSSL
        line = raw.split("#", 1)[0]
        if match := _SECTION.match(line):
            current = found.setdefault(match[1], {})
        elif match := _ASSIGNMENT.match(line):
            current[match[1]] = match[2]
    return found


def facts_path(case: Case) -> str:
    """FIPS.json: beside PYTHON.json in a full archive, beside the module in the smaller ones."""
    return "FIPS.json" if case.contents.flavour == "full" else FIPS_DOCUMENT


def facts(case: Case) -> FipsDocument | None:
    """FIPS.json, None when it is not there or not of its schema."""
    try:
        return msgspec.json.decode(case.contents.texts.get(facts_path(case), ""), type=FipsDocument)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None


@rule("fips.present", of=wanted_at_all, why="An archive without the module and its configs has no FIPS mode.")
def present(contents: Contents, case: Case) -> Iterator[Finding]:
    if not contents.macs:
        yield Finding(case.path(_SSL + "ossl-modules"), "no module", "fips.so or fips.dylib")
    names = ["fipsmodule.cnf", "openssl-fips.cnf"] if case.policy.fips == "strict" else ["fipsmodule.cnf"]
    for name in names:
        if case.path(_SSL + name) not in contents.texts:
            yield Finding(case.path(_SSL + name), "no such file", "the module's config")


@rule("fips.off-by-default", of=wanted_at_all, why="Whoever unpacks the archive decides whether FIPS is on.")
def off_by_default(contents: Contents, case: Case) -> Iterator[Finding]:
    path = case.path(_SSL + "fips-enabled")
    if path in contents.paths:
        yield Finding(path, "the file that turns FIPS on", "no such file in an archive")


@rule(
    "fips.module-mac",
    of=modules,
    why="The module refuses to load when one of its bytes differs from those it was MACed with.",
)
def module_mac(path: str, case: Case) -> Iterator[Finding]:
    made = case.contents.macs[path]
    for config in configs(case):
        text = case.contents.texts[config]
        macs = [values["module-mac"].upper() for values in sections(text).values() if "module-mac" in values]
        if macs != [made]:
            yield Finding(config, f"module-mac {', '.join(macs) or 'missing'}", f"{made}, the HMAC of {path}")


@rule("fips.configs-agree", of=strict, why="Users of either file get the same module with the same strictness.")
def configs_agree(contents: Contents, case: Case) -> Iterator[Finding]:
    paths = list(configs(case))
    if len(paths) == 2:
        one, other = (sections(contents.texts[path]).get("fips_sect", {}) for path in paths)
        for name in sorted(one.keys() | other.keys()):
            if one.get(name) != other.get(name):
                yield Finding(paths[1], f"{name} = {other.get(name)}", f"{name} = {one.get(name)}, as in {paths[0]}")


@rule(
    "fips.relocatable",
    of=configs,
    why="A path in the config is right on one machine only, and a wrong one turns FIPS off unseen.",
)
def relocatable(path: str, case: Case) -> Iterator[Finding]:
    for number, raw in enumerate(case.contents.texts[path].split("\n"), 1):
        line = raw.split("#", 1)[0].strip()
        if not _PLAIN.fullmatch(line) or re.match(r"module\s*=", line) or re.search(r"=\s*/", line):
            wanted = "a [section] or a plain name = value; no .include, no module =, no $variable, no absolute path"
            yield Finding(path, f"line {number}: {line}", wanted)


@rule("fips.active", of=strict, why="Without these lines the file is accepted and FIPS is silently off.")
def active(contents: Contents, case: Case) -> Iterator[Finding]:
    path = case.path(_SSL + "openssl-fips.cnf")
    if path not in contents.texts:
        return
    found = sections(contents.texts[path])
    start = found.get(found[""].get("openssl_conf", ""), {})
    providers_ = found.get(start.get("providers", ""), {})
    algorithms = found.get(start.get("alg_section", ""), {})
    for ok, missing, wanted in (
        (bool(start), "no section that openssl_conf names", "openssl_conf = a section"),
        (bool(found.get(providers_.get("fips", ""))), "the fips provider has no section", "fips = a section"),
        (
            found.get(providers_.get("fips", ""), {}).get("activate") == "1",
            "the fips provider is not activated",
            "activate = 1",
        ),
        (
            any(found.get(providers_.get(name, ""), {}).get("activate") == "1" for name in ("default", "base")),
            "neither default nor base is activated, so that no key can be read from a file",
            "default with activate = 1",
        ),
        (
            algorithms.get("default_properties") == "fips=yes",
            f"default_properties = {algorithms.get('default_properties')}",
            "default_properties = fips=yes",
        ),
    ):
        if not ok:
            yield Finding(path, missing, wanted)


@rule("fips.not-weakened", of=configs, why="Every check that the module can make is on, as its own build left it.")
def not_weakened(path: str, case: Case) -> Iterator[Finding]:
    found = sections(case.contents.texts[path])
    for section in found.values():  # whichever of them the provider is said to have
        for name, value in section.items():
            if value == "0" and name not in _NOT_STRICTNESS:
                yield Finding(path, f"{name} = 0", f"{name} = 1")
    said = {name for section in found.values() if "module-mac" in section for name in section}
    for name in sorted(frozenset().union(*case.contents.checks.values()) - said):
        yield Finding(path, f"no {name}, though the module knows it", f"{name} = 1")


@rule(
    "fips.no-install-status", of=configs, why="It says that this machine ran the self-tests, which no archive can know."
)
def no_install_status(path: str, case: Case) -> Iterator[Finding]:
    for values in sections(case.contents.texts[path]).values():
        for name in ("install-status", "install-mac"):
            if name in values:
                yield Finding(path, f"{name} = {values[name]}", f"no {name}")


@rule(
    "fips.exports",
    of=either_providers,
    why="The module's other functions would stand in for those of a process's own OpenSSL.",
)
def exports(module: Elf | MachO, case: Case) -> Iterator[Finding]:
    exported = set(module.exported)
    document = facts(case)
    if isinstance(module, MachO):
        exported = {name.removeprefix("_") for name in exported}
        if document is not None and document.provider.procedure == "policy" and "OSSL_provider_init" in exported:
            return  # OpenSSL's own build hides nothing on macOS, and its procedure allows no flag that would
    if exported != {"OSSL_provider_init"}:
        names = sorted(exported)
        found = f"{len(names)} symbols: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"
        yield Finding(module.path, found, "OSSL_provider_init and nothing else")


@rule(
    "fips.needed", of=either_providers, why="The module is its own cryptographic boundary; only libc is outside of it."
)
def needed(module: Elf | MachO, case: Case) -> Iterator[Finding]:
    if isinstance(module, MachO):
        allowed, wanted = frozenset({_LIBSYSTEM}), [dylib.name for dylib in module.dylibs]
    else:
        loaders = {path.rpartition("/")[2] for target in case.policy.targets.values() if (path := target.loader)}
        allowed, wanted = _LIBC | loaders, list(module.needed)
    for library in wanted:
        if library not in allowed:
            yield Finding(module.path, f"needs {library}", f"only parts of libc: {', '.join(sorted(allowed))}")


@rule(
    "fips.glibc-floor",
    of=providers,
    why="The module's floor may differ from the interpreter's, and users plan by what is said.",
)
def glibc_floor(elf: Elf, case: Case) -> Iterator[Finding]:
    document = facts(case)
    floor = document.provider.glibc_floor if document is not None else None
    if floor is None and case.target is not None:
        floor = case.target.glibc
    if floor:
        yield from above_floor(elf, floor)


@rule("fips.facts", of=strict, why="What is said of the module has to be said of the very bytes that are shipped.")
def facts_hold(contents: Contents, case: Case) -> Iterator[Finding]:
    document = facts(case)
    if document is None:
        yield Finding(facts_path(case), "missing or not of its schema", "pymint/fips/1")
        return
    for path, digest in contents.digests.items():
        if document.provider_sha256 != digest:
            yield Finding(
                facts_path(case), f"provider_sha256 {document.provider_sha256}", f"{digest}, the sha256 of {path}"
            )


@rule("fips.claims", of=strict, why="Only one release, built by its Security Policy's procedure, has a certificate.")
def claims(contents: Contents, case: Case) -> Iterator[Finding]:
    document = facts(case)
    if document is None or document.provider.certificate is None:
        return
    said = document.provider
    if (said.provider_version, said.procedure, said.certificate) != (VALIDATED_PROVIDER, "policy", CERTIFICATE):
        yield Finding(
            facts_path(case),
            f"certificate {said.certificate} for {said.provider_version} by procedure {said.procedure}",
            f"certificate null, or {CERTIFICATE} for {VALIDATED_PROVIDER} by procedure policy",
        )


@rule("fips.old-standard", of=whole, why="All FIPS 140-2 certificates are historical since 22 September 2026.")
def old_standard(contents: Contents, case: Case) -> Iterator[Finding]:
    for path in ("FIPS.json", "BUILD.json", FIPS_DOCUMENT):
        if "140-2" in contents.texts.get(path, ""):
            yield Finding(path, "FIPS 140-2", "no word of it")
