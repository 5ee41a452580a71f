"""The machine's own package repositories, read from apt's configuration, and those of other suites made from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Repository:
    """An entry of sources.list: where, which suites, which components, and the keys that may sign it ('' if not said).

    signed_by: as the entry has it, a path, fingerprints or a key block of several lines.
    """

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


def read_repositories(etc: Path = Path("/etc/apt")) -> list[Repository]:
    """All enabled entries of the machine, main file first. An unreadable or malformed file counts as empty."""
    found: list[Repository] = []
    parts = etc / "sources.list.d"
    files = [etc / "sources.list"]
    if parts.is_dir():
        files += sorted(path for path in parts.iterdir() if path.suffix in {".list", ".sources"})
    for path in files:
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue
        found += list(parse_deb822(text) if path.suffix == ".sources" else parse_list(text))
    return found


def parse_list(text: str) -> Iterator[Repository]:
    """Entries of the one-line format, `deb [options] uri suite component…`."""
    for raw in text.splitlines():
        line = raw.partition("#")[0].strip()
        kind, _, rest = line.partition(" ")
        if kind not in {"deb", "deb-src"}:
            continue
        options: dict[str, str] = {}
        rest = rest.strip()
        if rest.startswith("["):
            inside, _, rest = rest[1:].partition("]")
            options = {key.lower(): value for key, _, value in (item.partition("=") for item in inside.split())}
        words = rest.split()
        if len(words) >= 2:
            signed_by = options.get("signed-by", "").replace(",", " ")
            yield Repository((words[0],), (words[1],), tuple(words[2:]), signed_by)


def parse_deb822(text: str) -> Iterator[Repository]:
    """Entries of the deb822 format, stanzas of `Key: value` with continued lines."""
    for fields in stanzas(text):
        if fields.get("enabled", "yes").strip().lower() in {"no", "false", "off", "0"}:
            continue
        if not {"deb", "deb-src"} & set(fields.get("types", "").split()):
            continue
        uris, suites = fields.get("uris", "").split(), fields.get("suites", "").split()
        if uris and suites:
            yield Repository(
                tuple(uris), tuple(suites), tuple(fields.get("components", "").split()), fields.get("signed-by", "")
            )


def stanzas(text: str) -> Iterator[Mapping[str, str]]:
    """The stanzas of a deb822 text: keys in lower case, a value's further lines after a newline each."""
    fields: dict[str, str] = {}
    key = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, key = {}, ""
        elif line[0] in " \t":
            if key:
                fields[key] += "\n" + line.strip()
        else:
            key, _, value = line.partition(":")
            key = key.lower()
            fields[key] = value.strip()


def derived(machine: Sequence[Repository], codename: str, suites: Sequence[str]) -> list[Repository]:
    """The repositories that carry `suites`, at the same places and under the same keys as the machine's own suite.

    codename: of the machine's release, such as bookworm. A suite `X-security` comes from where the machine has its own
    security updates from. Empty where the machine has no repository of its own release.
    """
    # By the release's own name first: vendors call their suites "stable" too.
    main = _of_suite(machine, [codename, "stable", "oldstable", "testing", "unstable", "sid"])
    security = _of_suite(machine, [f"{codename}-security", f"{codename}/updates", "stable-security"])
    plain = tuple(suite for suite in suites if not suite.endswith("-security"))
    secured = tuple(suite for suite in suites if suite.endswith("-security"))
    result = []
    for entry, wanted in ((main, plain), (security, secured)):
        if entry is not None and wanted:
            result.append(Repository(entry.uris[:1], wanted, ("main",), entry.signed_by))
    return result


def _of_suite(machine: Sequence[Repository], names: Sequence[str]) -> Repository | None:
    """The machine's first entry with the first of the names that it has an entry for."""
    with_main = [entry for entry in machine if "main" in entry.components]
    return next((entry for name in names for entry in with_main if name in entry.suites), None)


def as_deb822(repositories: Sequence[Repository], kind: str) -> str:
    """The text of a .sources file that has the repositories' packages of a kind, `deb` or `deb-src`."""
    parts = []
    for entry in repositories:
        lines = [
            f"Types: {kind}",
            f"URIs: {' '.join(entry.uris)}",
            f"Suites: {' '.join(entry.suites)}",
            f"Components: {' '.join(entry.components)}",
        ]
        if entry.signed_by:
            first, *more = entry.signed_by.split("\n")
            lines.append(f"Signed-By: {first}")
            lines += [f" {line}" for line in more]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def suites_for(pinned: Sequence[str]) -> list[str]:
    """The suites to ask: those that pins name, and where a release has them, its updates and security suites."""
    rolling = {"testing", "unstable", "experimental", "sid"}
    found = dict.fromkeys(pinned)
    for suite in pinned:
        if suite not in rolling and not suite.endswith(("-security", "-updates")):
            found |= dict.fromkeys([f"{suite}-updates", f"{suite}-security"])
    return list(found)
