"""Rules for what a build writes of its place and its tools: it has to be true wherever the tree lies."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping

from workers.moved.judging import FOREIGN, NOWHERE, foreign_options, wrong_tools
from workers.reports.checks import Finding
from workers.validate.contents import Contents
from workers.validate.rule import Case, rule, running

Text = tuple[str, str]

_LIBRARY = r"lib/python3\.\d+t?/"
SYSCONFIG_DATA = re.compile(rf"^{_LIBRARY}_sysconfigdata_[^/]*\.py$")
SYSCONFIG_JSON = re.compile(rf"^{_LIBRARY}_sysconfig_vars_[^/]*\.json$")
DETAILS = re.compile(rf"^{_LIBRARY}build-details\.json$")
MAKEFILE = re.compile(rf"^{_LIBRARY}config-[^/]+/Makefile$")
CONFIG_SCRIPT = re.compile(rf"^(?:bin/python3\.\d+[dt]*-config|{_LIBRARY}config-[^/]+/python-config\.py)$")
PKG_CONFIG = re.compile(r"^lib/pkgconfig/[^/]+\.pc$")
HEADER = re.compile(r"^include/python3\.\d+[dt]*/pyconfig\.h$")

# What has to be there, and the release that brought it.
_WANTED: tuple[tuple[str, re.Pattern[str], tuple[int, int]], ...] = (
    ("sysconfig's data", SYSCONFIG_DATA, (3, 10)),
    ("sysconfig's variables as JSON", SYSCONFIG_JSON, (3, 14)),
    ("build-details.json", DETAILS, (3, 14)),
    ("the Makefile", MAKEFILE, (3, 10)),
    ("python3.N-config", CONFIG_SCRIPT, (3, 10)),
    ("a pkg-config file", PKG_CONFIG, (3, 10)),
    ("pyconfig.h", HEADER, (3, 10)),
)
# A finding quotes this much of a line.
_QUOTED = 100


def texts(*kinds: re.Pattern[str]) -> Callable[[Case], Iterator[Text]]:
    """The texts of some kinds, of archives that have to be relocatable."""

    def of(case: Case) -> Iterator[Text]:
        for path, text in sorted(case.contents.texts.items() if case.policy.relocatable else ()):
            below = path.removeprefix(case.contents.install)
            if path.startswith(case.contents.install) and any(kind.search(below) for kind in kinds):
                yield path, text

    return of


def relocatable(case: Case) -> Iterator[Contents]:
    """Archives with an interpreter, that have to be relocatable."""
    if case.policy.relocatable:
        yield from running(case)


@rule(
    "relocation.files",
    of=relocatable,
    why="Who builds extension modules or embeds Python asks these files; one that is missing was judged by no rule.",
)
def files(contents: Contents, case: Case) -> Iterator[Finding]:
    version = tuple(int(part) for part in case.version.split(".")) if case.version else (3, 10)
    names = [path.removeprefix(contents.install) for path in contents.texts if path.startswith(contents.install)]
    for what, kind, since in _WANTED:
        if version >= since and not any(kind.search(name) for name in names):
            yield Finding(contents.name, f"no {kind.pattern}", what)


@rule(
    "relocation.prefix",
    of=texts(SYSCONFIG_JSON, DETAILS, MAKEFILE, CONFIG_SCRIPT, PKG_CONFIG, HEADER),
    why="The prefix and the directories of a build are on no user's machine: what names them sends compilers nowhere.",
)
def prefix(file: Text, case: Case) -> Iterator[Finding]:
    path, text = file
    for number, line in enumerate(text.splitlines(), 1):
        if NOWHERE.search(line):
            yield Finding(path, f"line {number}: {line.strip()[:_QUOTED]}", "a path found from where the file lies")
            return


@rule(
    "relocation.sysconfig",
    of=texts(SYSCONFIG_DATA),
    why="What sysconfig says is where extension modules are built from and put; a literal is true at one place only.",
)
def sysconfig_computes(file: Text, case: Case) -> Iterator[Finding]:
    path, text = file
    literal, computed = sysconfig_data(text)
    if literal is None:
        yield Finding(path, "no literal build_time_vars", "one, for installers that rewrite it")
        return
    for name, value in sorted(literal.items()):
        if isinstance(value, str) and NOWHERE.search(value.replace("/install", "")):
            yield Finding(path, f"{name} = {value[:_QUOTED]}", "no directory of the build")
    if not computed and any(NOWHERE.search(value) for value in literal.values() if isinstance(value, str)):
        yield Finding(path, "build_time_vars as it was built", "computed from where the file lies, after the literal")


@rule(
    "relocation.compiler",
    of=texts(SYSCONFIG_DATA, SYSCONFIG_JSON, MAKEFILE),
    why="Extension modules are built with the user's compiler: cc, and options that every compiler knows.",
)
def compiler(file: Text, case: Case) -> Iterator[Finding]:
    path, text = file
    variables = _variables(path.rpartition("/")[2], text)
    if variables is None:
        yield Finding(path, "no variables that can be read", "those of sysconfig")
        return
    for name, option in foreign_options(variables):
        yield Finding(path, f"{name} has {option}", "nothing that only the build's compiler or linker knows")
    for found in wrong_tools(variables):
        yield Finding(path, found, "cc, c++ and ar")


@rule(
    "relocation.options",
    of=texts(CONFIG_SCRIPT, PKG_CONFIG),
    why="What these say is passed to the user's compiler as it is.",
)
def options(file: Text, case: Case) -> Iterator[Finding]:
    path, text = file
    for number, line in enumerate(text.splitlines(), 1):
        if match := FOREIGN.search(line):
            wanted = "nothing that only the build's compiler or linker knows"
            yield Finding(path, f"line {number} has {match[0]}", wanted)


@rule(
    "relocation.build-details",
    of=texts(DETAILS),
    why="PEP 739 lets a tree that is moved say where it is by relative paths alone.",
)
def build_details(file: Text, case: Case) -> Iterator[Finding]:
    path, text = file
    try:
        details = json.loads(text)
    except ValueError as error:
        yield Finding(path, str(error), "JSON")
        return
    if not isinstance(details, dict) or not isinstance(details.get("base_prefix"), str):
        yield Finding(path, "no base_prefix", "one, relative to the file's directory")
        return
    for name, value in _strings(details, ""):
        if value.startswith("/"):
            yield Finding(path, f"{name} is {value}", "a relative path")


def sysconfig_data(text: str) -> tuple[dict[str, object] | None, bool]:
    """The literal `build_time_vars` of a _sysconfigdata_*.py, None for none; whether something computes it later."""
    literal: dict[str, object] | None = None
    computed = False
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError):
        return None, False
    for statement in statements:
        if not isinstance(statement, ast.Assign) or ast.unparse(statement.targets[0]) != "build_time_vars":
            continue
        if literal is not None:
            computed = True
        elif isinstance(statement.value, ast.Dict):
            literal = ast.literal_eval(statement.value)
    return literal, computed


def _variables(name: str, text: str) -> dict[str, str] | None:
    """What a file says of sysconfig's variables; a Makefile's as they stand in it."""
    found: object
    if name == "Makefile":
        found = dict(re.findall(r"(?m)^([A-Z_]+)[ \t]*=[ \t]*(.*?)[ \t]*$", text))
    elif name.endswith(".py"):
        found = sysconfig_data(text)[0]
    else:
        try:
            found = json.loads(text)
        except ValueError:
            return None
    if not isinstance(found, Mapping):
        return None
    return {str(variable): value for variable, value in found.items() if isinstance(value, str)}


def _strings(value: object, name: str) -> Iterator[Text]:
    """Every text in a JSON value, by its place in it."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _strings(entry, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from _strings(entry, f"{name}[{number}]")
    elif isinstance(value, str):
        yield name, value
