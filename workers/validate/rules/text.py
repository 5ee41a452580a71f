"""Rules for texts: no place of the machine that built them is left in any."""

from __future__ import annotations

import re
from collections.abc import Iterator

from workers.reports.checks import Finding
from workers.validate.contents import Contents
from workers.validate.rule import Case, rule, whole

_FOREIGN = re.compile(r"^#!\s*/(?:install|build|mnt/pymint|tmp|root|home)\b")
_SYSTEM = re.compile(r"^#!\s*(?:/bin/(?:sh|bash)|/usr/bin/(?:env|bash)\b)")


def shebangs(case: Case) -> Iterator[tuple[str, str]]:
    yield from sorted(case.contents.shebangs.items())


def pkg_configs(case: Case) -> Iterator[tuple[str, str]]:
    return ((path, text) for path, text in sorted(case.contents.texts.items()) if path.endswith(".pc"))


@rule(
    "text.build-paths",
    of=whole,
    why="A path of the building machine is wrong everywhere else, and tells about that machine.",
)
def build_paths(contents: Contents, case: Case) -> Iterator[Finding]:
    for path, found in sorted(contents.found_paths.items()):
        yield Finding(path, found, "no path of the machine that built it")


@rule(
    "text.shebangs",
    of=shebangs,
    why="A script is started by the interpreter that its first line names, on every machine.",
)
def shebang(script: tuple[str, str], case: Case) -> Iterator[Finding]:
    path, line = script
    if _FOREIGN.match(line) or (path.startswith(case.path("bin/")) and not _SYSTEM.match(line)):
        yield Finding(path, line, "#!/bin/sh or #!/usr/bin/env")


@rule(
    "text.pkg-config",
    of=pkg_configs,
    why="pkg-config tells compilers where the tree was unpacked, not where it was built.",
)
def pkg_config(file: tuple[str, str], case: Case) -> Iterator[Finding]:
    path, text = file
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name.strip() in ("prefix", "exec_prefix", "libdir", "includedir") and value.strip().startswith("/"):
            yield Finding(path, line, f"{name.strip()} relative to ${{pcfiledir}}")
