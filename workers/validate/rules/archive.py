"""Rules for the archive as a whole: its members, its links, what must be there and what must not."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import PurePosixPath

import msgspec

from workers.model import flavour_named
from workers.package.beside import BuildDocument, FipsDocument
from workers.package.python_json import PythonJson
from workers.reports.checks import Finding
from workers.tarball import Member
from workers.validate.contents import Contents, below_python
from workers.validate.rule import DOCUMENT, Case, document, rule, running, whole

_SHARED_ENDINGS = (".so", ".dylib", ".dll", ".pyd")


def members(case: Case) -> Iterator[Member]:
    yield from case.contents.members


def deterministic(case: Case) -> Iterator[Member]:
    return members(case) if case.policy.deterministic else iter(())


def links(case: Case) -> Iterator[Member]:
    return (member for member in case.contents.members if member.kind in ("symlink", "hardlink"))


def full(case: Case) -> Iterator[Contents]:
    if case.contents.flavour == "full":
        yield case.contents


def with_licences(case: Case) -> Iterator[PythonJson]:
    if case.policy.licences:
        yield from document(case)


def static_builds(case: Case) -> Iterator[Contents]:
    if "static" in (case.options or "").split("+"):
        yield case.contents


@rule(
    "archive.python-json-first", of=full, why="Tools read PYTHON.json from the archive's first bytes, and stop there."
)
def python_json_first(contents: Contents, case: Case) -> Iterator[Finding]:
    first = contents.members[0].path if contents.members else "nothing"
    if first != f"python/{DOCUMENT}":
        yield Finding(contents.name, f"begins with {first}", f"begins with python/{DOCUMENT}")


@rule("archive.no-twins", of=whole, why="Of two members with one name, which one a user gets depends on the tool.")
def no_twins(contents: Contents, case: Case) -> Iterator[Finding]:
    for path, count in Counter(posixpath.normpath(member.path) for member in contents.members).items():
        if count > 1:
            yield Finding(path, f"{count} members", "one")


@rule("archive.inside", of=members, why="Unpacking must not write anywhere but below python/.")
def inside(member: Member, case: Case) -> Iterator[Finding]:
    name = below_python(member.path)
    if member.path.rstrip("/") in ("python", "./python"):
        return
    if name.startswith("!") or ".." in name.split("/") or member.kind == "other":
        yield Finding(member.path, f"a {member.kind} there", "files and links below python/")
    folders = PurePosixPath(posixpath.normpath(name)).parents
    for link in sorted(case.contents.symlinks.intersection(map(str, folders))):
        yield Finding(member.path, f"a {member.kind} below the link {link}", "no member by way of a link")


@rule(
    "archive.deterministic", of=deterministic, why="The same build gives the same bytes, so that anyone can check it."
)
def is_deterministic(member: Member, case: Case) -> Iterator[Finding]:
    first = case.contents.members[0]
    owner = (member.uid, member.gid, member.uname, member.gname)
    if owner != (0, 0, "root", "root"):
        yield Finding(member.path, f"owner {owner}", "0:0, root:root")
    if member.mtime != first.mtime or member.mtime != int(member.mtime):
        yield Finding(member.path, f"time {member.mtime}", f"{first.mtime}, as of the first member")
    if member.kind not in ("file", "symlink"):
        yield Finding(member.path, f"a {member.kind}", "files and symlinks only")
    if member.kind == "file" and member.mode not in (0o644, 0o755):
        yield Finding(member.path, f"mode {member.mode:o}", "644 or 755")
    if strange := sorted(set(member.pax) - {"path", "linkpath"}):
        yield Finding(member.path, f"PAX records {', '.join(strange)}", "none but path and linkpath")


@rule("archive.sorted", of=whole, why="An order that a file system chose differs from one machine to the next.")
def is_sorted(contents: Contents, case: Case) -> Iterator[Finding]:
    if not case.policy.deterministic:
        return
    names = [member.path.encode("utf-8", "surrogateescape") for member in contents.members[1:]]
    for one, other in pairwise(names):
        if one > other:
            before, after = (name.decode("utf-8", "surrogateescape") for name in (one, other))
            yield Finding(after, f"comes after {before}", "sorted by name, after the first member")
            return


@rule(
    "archive.no-bytecode",
    of=full,
    why="Compiled files carry the times of their sources, and other versions' are dead weight.",
)
def no_bytecode(contents: Contents, case: Case) -> Iterator[Finding]:
    if not case.policy.deterministic:
        return
    for path in sorted(contents.paths):
        if "__pycache__" in path.split("/") or path.endswith(".pyc"):
            yield Finding(path, "compiled Python", "none")


@rule(
    "archive.links",
    of=links,
    why="A link that leads nowhere, or out of the archive, is broken wherever it is unpacked.",
)
def links_lead_somewhere(member: Member, case: Case) -> Iterator[Finding]:
    link = member.link if member.kind == "hardlink" else posixpath.join(posixpath.dirname(member.path), member.link)
    target = below_python(posixpath.normpath(link))
    if posixpath.isabs(member.link) or target.startswith("!"):
        yield Finding(member.path, f"links to {member.link}", "a relative link inside the archive")
    elif member.kind == "symlink" and _turns_back_behind_a_link(member, case.contents.symlinks):
        yield Finding(
            member.path, f"links to {member.link}, by way of another link", "a link that shows where it leads"
        )
    elif target not in case.contents.paths and not any(p.startswith(f"{target}/") for p in case.contents.paths):
        yield Finding(member.path, f"links to {member.link}, which is not there", "a member of the archive")


def _turns_back_behind_a_link(member: Member, links: frozenset[str]) -> bool:
    """Whether a `..` stands behind another link's name: it leads to where that link is from, not to where it stands."""
    here = posixpath.dirname(member.path).split("/")
    crossed = False
    for part in member.link.split("/"):
        if part == "..":
            if crossed:
                return True
            here = here[:-1]
        elif part not in ("", "."):
            here = [*here, part]
            crossed = crossed or below_python(posixpath.normpath("/".join(here))) in links
    return False


@rule("archive.python-links", of=running, why="`bin/python` and `bin/python3` are what people and tools start.")
def python_links(contents: Contents, case: Case) -> Iterator[Finding]:
    targets = {}
    for name in ("bin/python", "bin/python3"):
        path = case.path(name)
        found = [member for member in contents.members if below_python(member.path) == path]
        if not found or found[0].kind != "symlink":
            yield Finding(path, f"a {found[0].kind}" if found else "nothing there", "a symlink to the interpreter")
        else:
            targets[path] = found[0].link
    if len(set(targets.values())) > 1:
        yield Finding(case.path("bin/python"), f"targets {', '.join(targets.values())}", "the same target for both")


@rule("archive.python-paths", of=document, why="PYTHON.json says where the parts are, and tools go there.")
def python_paths(found: PythonJson, case: Case) -> Iterator[Finding]:
    for name, path in sorted(found.python_paths.items()):
        if not any(member == path or member.startswith(f"{path}/") for member in case.contents.paths):
            yield Finding(DOCUMENT, f"python_paths.{name} is {path}, where nothing is", "a folder of the archive")


@rule("archive.static-is-static", of=static_builds, why="An interpreter that can't load libraries has no use for any.")
def static_is_static(contents: Contents, case: Case) -> Iterator[Finding]:
    for path in sorted(contents.paths):
        name = path.rpartition("/")[2]
        if name.endswith(_SHARED_ENDINGS) or ".so." in name:
            yield Finding(path, "a shared library", "none in a static build")


@rule("archive.objects-exist", of=document, why="Whoever links the pieces anew takes them from where PYTHON.json says.")
def objects_exist(found: PythonJson, case: Case) -> Iterator[Finding]:
    info = found.build_info
    pieces = [*info.core.objs, info.inittab_object, info.inittab_source]
    pieces += [path for path in (info.core.shared_lib, info.core.static_lib) if isinstance(path, str)]
    pieces += [link.path_static for link in info.core.links if isinstance(link.path_static, str)]
    for ways in info.extensions.values():
        for way in ways:
            pieces += way.objs
            pieces += [path for path in (way.static_lib,) if isinstance(path, str)]
            for link in way.links:
                pieces += [path for path in (link.path_static, link.path_dynamic) if isinstance(path, str)]
    for path in sorted(set(pieces) - case.contents.paths):
        yield Finding(DOCUMENT, f"names {path}, which is not there", "a member of the archive")


@rule("archive.run-tests", of=document, why="`run_tests` is how tools run CPython's own tests.")
def run_tests(found: PythonJson, case: Case) -> Iterator[Finding]:
    if found.run_tests not in case.contents.paths:
        yield Finding(DOCUMENT, f"run_tests is {found.run_tests}, which is not there", "a member of the archive")


@rule(
    "archive.licences",
    of=with_licences,
    why="Whoever passes the archive on has to pass on the licences of all that is in it.",
)
def licences(found: PythonJson, case: Case) -> Iterator[Finding]:
    wanted = {found.license_path} if isinstance(found.license_path, str) else set()
    if not wanted or not isinstance(found.licenses, list) or not found.licenses:
        yield Finding(DOCUMENT, "no licence of CPython", "licenses and license_path")
    for name, ways in sorted(found.build_info.extensions.items()):
        for way in ways:
            own = [
                link.path_static
                for link in way.links
                if isinstance(link.path_static, str) and link.path_static.startswith("build/lib/")
            ]
            if own and not (isinstance(way.licenses, list) and way.licenses and isinstance(way.license_paths, list)):
                yield Finding(
                    DOCUMENT, f"{name} links {', '.join(own)} without a licence", "licenses and license_paths"
                )
            wanted.update(way.license_paths if isinstance(way.license_paths, list) else [])
    wanted.update(_licences_of_build(case.contents))
    for path in sorted(wanted - case.contents.paths):
        yield Finding(path, "not there", "the licence text that PYTHON.json or BUILD.json names")


def _licences_of_build(contents: Contents) -> list[str]:
    """The licence texts that BUILD.json names; one that can't be read is another rule's finding."""
    try:
        build = msgspec.json.decode(contents.texts.get("BUILD.json", ""), type=BuildDocument)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return []
    return [path for node in build.nodes for path in node.licences]


@rule(
    "archive.beside",
    of=full,
    why="What format 8 has no field for stands beside it: what may be said of FIPS, what went in.",
)
def beside(contents: Contents, case: Case) -> Iterator[Finding]:
    if case.policy.beside:
        for name, kind in (("FIPS.json", FipsDocument), ("BUILD.json", BuildDocument)):
            if name not in contents.paths:
                yield Finding(name, "not there", "a file beside PYTHON.json")
                continue
            try:
                msgspec.json.decode(contents.texts.get(name, ""), type=kind)
            except (msgspec.ValidationError, msgspec.DecodeError) as error:
                yield Finding(name, str(error), "a document of its schema")


@rule("archive.readable", of=whole, why="A binary that can't be read was judged by nobody, and was cut off or damaged.")
def readable(contents: Contents, case: Case) -> Iterator[Finding]:
    for path, what in sorted(contents.unreadable.items()):
        yield Finding(path, what, "a whole file")


@rule(
    "archive.libpython",
    of=running,
    why="Programs embed Python through libpython; in a static build nothing may look as if they could.",
)
def libpython(contents: Contents, case: Case) -> Iterator[Finding]:
    static = any(static_builds(case))
    missing = sorted(case.policy.symbols.python - case.libpython_exports)
    path = case.path("lib/libpython")
    if static and case.libpython_exports:
        yield Finding(path, "a libpython with exports in a static build", "none")
    elif not static and not case.libpython_exports:
        yield Finding(path, f"no library that exports {', '.join(missing)}", "libpython3.N.so.1.0 or .dylib")


@rule("archive.name", of=whole, why="Tools choose an archive by its name.")
def name_agrees(contents: Contents, case: Case) -> Iterator[Finding]:
    flavour = flavour_named(contents.name)
    if flavour not in (None, contents.flavour):
        yield Finding(contents.name, f"holds what is {contents.flavour}", f"what is {flavour}, as the name says")
    if case.document is None or contents.flavour != "full":
        return
    said = case.document
    if case.named_triple not in (None, said.target_triple):
        yield Finding(contents.name, f"PYTHON.json is for {said.target_triple}", str(case.named_triple))
    match = re.match(r"cpython-(\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?)[+-]", contents.name)
    if match is None:
        return
    if match[1] != said.python_version:
        yield Finding(contents.name, f"PYTHON.json is of Python {said.python_version}", f"Python {match[1]}")
    named = set(re.split(r"[-+.]", contents.name))
    options = set((case.options or "").split("+"))
    for option in ("debug", "static", "freethreaded"):
        if (option in named) != (option in options):
            has = "has" if option in options else "has not"
            yield Finding(contents.name, f"PYTHON.json {has} the option {option}", "the same in the name")
