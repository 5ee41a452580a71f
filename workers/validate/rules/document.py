"""Rules for PYTHON.json: it is of its format, and what it says is so."""

from __future__ import annotations

from collections.abc import Iterator

from workers.package.python_json import Extension, PythonJson
from workers.reports.checks import Finding
from workers.validate.contents import Contents
from workers.validate.elf import newest_glibc, version_number
from workers.validate.rule import DOCUMENT, Case, document, rule
from workers.validate.rules.archive import full
from workers.validate.rules.elf import is_provider

_APPLE = ("apple_sdk_canonical_name", "apple_sdk_platform", "apple_sdk_version", "apple_sdk_deployment_target")
_BANNED = frozenset({"nis"})


def extensions(case: Case) -> Iterator[tuple[str, Extension]]:
    """Every extension with its name, once for each way to have it."""
    if case.document is not None:
        for name, ways in sorted(case.document.build_info.extensions.items()):
            for way in ways:
                yield name, way


@rule("python-json.format", of=full, why="Readers of format 8 refuse a document with fields that they do not know.")
def is_of_format(contents: Contents, case: Case) -> Iterator[Finding]:
    if case.complaint is not None:
        yield Finding(DOCUMENT, case.complaint, "format 8, with all of its fields and no others")
    elif case.document is None:
        yield Finding(DOCUMENT, "not there", "the archive's description of itself")


@rule("python-json.version", of=document, why="Readers know this version of the format, and check that it is it.")
def version(found: PythonJson, case: Case) -> Iterator[Finding]:
    if found.version != "8":
        yield Finding(DOCUMENT, f"version {found.version}", "version 8")


@rule("python-json.target", of=document, why="A target that the policy does not know can't be judged.")
def target(found: PythonJson, case: Case) -> Iterator[Finding]:
    if case.target is None:
        yield Finding(DOCUMENT, f"target_triple {found.target_triple}", f"one of {', '.join(case.policy.targets)}")


@rule(
    "python-json.apple-sdk", of=document, why="Whoever links the pieces anew needs the SDK that they were built with."
)
def apple_sdk(found: PythonJson, case: Case) -> Iterator[Finding]:
    if "-apple-" in found.target_triple:
        for name in _APPLE:
            if not isinstance(getattr(found, name), str):
                yield Finding(DOCUMENT, f"no {name}", f"{name}, as for every Apple target")


@rule("python-json.platform-tag", of=document, why="Installers choose wheels by it.")
def platform_tag(found: PythonJson, case: Case) -> Iterator[Finding]:
    if case.target is not None and found.python_platform_tag != case.target.platform_tag:
        yield Finding(DOCUMENT, f"python_platform_tag {found.python_platform_tag}", case.target.platform_tag)


@rule(
    "python-json.abiflags",
    of=document,
    why="Extension modules are found by the interpreter's ABI, which its flags name.",
)
def abiflags(found: PythonJson, case: Case) -> Iterator[Finding]:
    flags = found.python_config_vars.get("abiflags", "")
    parts = (case.options or "").split("+")
    for part, letter in (("debug", "d"), ("freethreaded", "t")):
        if (part in parts) != (letter in flags):
            yield Finding(DOCUMENT, f"abiflags {flags!r} for {case.options}", f"{letter!r} if and only if {part}")


@rule("python-json.banned-extensions", of=extensions, why="These modules link what no user's system has to have.")
def banned(extension: tuple[str, Extension], case: Case) -> Iterator[Finding]:
    if extension[0] in _BANNED:
        yield Finding(DOCUMENT, f"has the module {extension[0]}", "not built")


@rule(
    "python-json.extensions", of=document, why="A module that is missing breaks programs; one too many can undo FIPS."
)
def wanted_extensions(found: PythonJson, case: Case) -> Iterator[Finding]:
    sets = case.modules
    if sets is None:
        yield Finding(DOCUMENT, f"Python {found.python_major_minor_version}", "a version whose modules are known")
        return
    wanted, have = sets[0], found.build_info.extensions.keys()
    for name in sorted(wanted - have):
        yield Finding(DOCUMENT, f"no module {name}", "built")
    for name in sorted(have - wanted):
        yield Finding(DOCUMENT, f"has the module {name}", "not built")


@rule("python-json.shared", of=extensions, why="A module that is built in can't be left out by deleting its file.")
def shared_as_wanted(extension: tuple[str, Extension], case: Case) -> Iterator[Finding]:
    name, way = extension
    sets = case.modules
    if sets is None or name not in sets[0]:
        return
    is_shared = isinstance(way.shared_lib, str)
    if is_shared != (name in sets[1]) or (way.in_core and is_shared):
        yield Finding(DOCUMENT, f"{name} is {_form(is_shared)}", _form(name in sets[1] and not way.in_core))


def _form(shared: bool) -> str:
    return "a shared library" if shared else "built in"


@rule("python-json.shared-exists", of=extensions, why="A module is where PYTHON.json says, or nowhere.")
def shared_exists(extension: tuple[str, Extension], case: Case) -> Iterator[Finding]:
    name, way = extension
    if isinstance(way.shared_lib, str) and way.shared_lib not in case.contents.paths:
        yield Finding(DOCUMENT, f"{name} is said to be {way.shared_lib}, which is not there", "a member of the archive")


@rule(
    "python-json.init-functions",
    of=extensions,
    why="An embedding program puts built-in modules together by these names.",
)
def init_functions(extension: tuple[str, Extension], case: Case) -> Iterator[Finding]:
    name, way = extension
    exported = case.libpython_exports
    if not exported or way.init_fn == "NULL":
        return
    shared = isinstance(way.shared_lib, str)
    if shared == (way.init_fn in exported):
        found = f"{way.init_fn} is {'' if shared else 'not '}exported from libpython"
        yield Finding(DOCUMENT, f"{name} is {_form(shared)}, but {found}", "exported if and only if built in")


@rule("python-json.glibc", of=document, why="Users read from crt_features which systems the archive runs on.")
def glibc_is_as_said(found: PythonJson, case: Case) -> Iterator[Finding]:
    prefix = "glibc-max-symbol-version:"
    said = [feature.removeprefix(prefix) for feature in found.crt_features if feature.startswith(prefix)]
    made = newest_glibc([elf for elf in case.contents.elves if elf.linked and not is_provider(elf)])
    if made is None:
        return
    if not said:
        yield Finding(DOCUMENT, "crt_features without the newest glibc version", f"{prefix}{made}")
    elif (version_number(said[0]) or ()) < (version_number(made) or ()):
        yield Finding(DOCUMENT, f"{prefix}{said[0]}", f"{prefix}{made}, which is what the binaries want")


@rule("python-json.test-packages", of=document, why="The smaller flavours leave out what is named here.")
def test_packages(found: PythonJson, case: Case) -> Iterator[Finding]:
    if "test" not in found.python_stdlib_test_packages:
        yield Finding(DOCUMENT, "python_stdlib_test_packages without `test`", "the standard library's test packages")
