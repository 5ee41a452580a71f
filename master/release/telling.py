"""A release told to people: its page and its notes, written from the plan. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

import jinja2

from master.release import indexes
from master.release.address import page_of
from master.release.changes import Changes, changes, floor, module_floor, provider_in_words
from master.release.model import NOTES_NAME, PLAN_NAME, SUMS_NAME, Asset, Mended, Plan, ReleasedCell
from master.signing.bundle import SUFFIX
from master.signing.keeping import KEYS, ROOT
from workers.model import Flavour
from workers.progress import size

PAGE = "index.html"
# What most people want first.
_COLUMNS: tuple[Flavour, ...] = (*indexes.INSTALLED, "debug_symbols")
_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Row:
    """A cell in the table of downloads. archives, more: what it links to, each with a title."""

    target: str
    variant: str
    archives: dict[Flavour, Asset]
    more: list[tuple[str, Asset]]


@dataclass(frozen=True)
class Group:
    """The downloads of one version of CPython."""

    version: str
    rows: list[Row]


@dataclass(frozen=True)
class Said:
    """Something that is so for some cells. cells: in words."""

    text: str
    cells: str


def _row(plan: Plan, cell: ReleasedCell) -> Row:
    own = [one for one in plan.assets if one.builder == cell.builder]
    archives = {one.flavour: one for one in own if one.role == "archive" and one.flavour is not None}
    titles = {"-prove.html": "FIPS proof", "-validate.json": "rules", "-test.json": "tests"}
    more = [(title, one) for end, title in titles.items() for one in own if one.name.endswith(end)]
    more += [("SBOM", one) for one in own if one.role == "sbom" and one.flavour == "full" and ".cdx." in one.name]
    return Row(cell.cell.target, cell.cell.variant, {one: archives[one] for one in _COLUMNS if one in archives}, more)


def groups(plan: Plan) -> list[Group]:
    """The cells by version, newest first; in each what most people run first, then as the plan has them."""
    found: dict[str, list[ReleasedCell]] = {}
    for cell in plan.cells:
        found.setdefault(cell.python_version, []).append(cell)
    return [
        Group(
            version,
            [_row(plan, cell) for cell in sorted(cells, key=lambda one: len(indexes.parts(one.cell.variant)[0]))],
        )
        for version, cells in sorted(found.items(), key=lambda item: indexes.newest_first(item[0]))
    ]


def providers(plan: Plan) -> list[Said]:
    """What may be said of the FIPS providers, and of which targets."""
    found: dict[str, list[str]] = {}
    for cell in plan.cells:
        found.setdefault(provider_in_words(cell), []).append(cell.cell.target)
    return [Said(text, ", ".join(sorted(set(targets)))) for text, targets in sorted(found.items())]


def needs(plan: Plan) -> list[Said]:
    """What the interpreters need of a system, and their FIPS modules where that is more or other."""
    found: dict[str, set[str]] = {}
    for cell in plan.cells:
        text = floor(cell)
        if module_floor(cell) not in ("", text):
            text += f"; the FIPS module {module_floor(cell)}"
        found.setdefault(cell.cell.target, set()).add(text or "not stated")
    return [Said(" or ".join(sorted(texts)), target) for target, texts in sorted(found.items())]


def made_of(plan: Plan) -> list[Said]:
    """Each source with its version; where a newer one is pinned that could not be had, that is said."""
    found: dict[str, dict[str, str]] = {}
    for cell in plan.cells:
        for pin in cell.pins:
            newer = (
                "" if pin.is_newest else f" (pinned is also {pin.newest}, which could not be had where it was built)"
            )
            found.setdefault(pin.source, {})[pin.version] = newer
    return [
        Said(", ".join(f"{version}{newer}" for version, newer in sorted(versions.items())), source)
        for source, versions in sorted(found.items())
    ]


def mended(plan: Plan) -> dict[str, list[Mended]]:
    """The CVEs that a newer source fixes, by source."""
    found: dict[str, list[Mended]] = {}
    for one in plan.advisories.mended if plan.advisories is not None else []:
        found.setdefault(one.source, []).append(one)
    return found


def _minute(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _facts(plan: Plan, before: Plan | None) -> dict[str, object]:
    archives = [one for one in plan.assets if one.role == "archive"]
    builders = sorted({cell.builder_id for cell in plan.cells if cell.builder_id})
    new: Changes | None = changes(plan, before) if before is not None else None
    known = {one.name for one in plan.assets}
    tools = [name for name in indexes.all_indexes(plan, {}) if name not in (indexes.VERSIONS, indexes.LATEST)]
    github = urlsplit(plan.repository).netloc == "github.com"
    return {
        "plan": plan,
        "groups": groups(plan),
        "flavours": [one for one in _COLUMNS if any(asset.flavour == one for asset in archives)],
        "providers": providers(plan),
        "needs": needs(plan),
        "made_of": made_of(plan),
        "changes": new,
        "validated": all(cell.provider.certificate for cell in plan.cells),
        "made": _minute(plan.epoch),
        "mended": mended(plan),
        "looked": _minute(plan.advisories.at) if plan.advisories is not None else "",
        "total": size(sum(one.size for one in archives)),
        "archives": len(archives),
        "builders": builders,
        "keys": KEYS if KEYS in known else None,
        "root": ROOT if ROOT in known else None,
        "public": next((name for name in sorted(known) if name.endswith(".pub")), None),
        "github": urlsplit(plan.repository).path.strip("/") if github else None,
        "tools": tools,
        "hatch": [name for name in tools if name.startswith("hatch-")],
        "names": {
            "sums": SUMS_NAME, "signature": SUMS_NAME + SUFFIX, "plan": PLAN_NAME, "uv": indexes.UV_OWN,
            "mirror": indexes.UV_MIRROR, "bazel": indexes.BAZEL, "pants": indexes.PANTS, "notes": NOTES_NAME,
            "page": PAGE, "versions": indexes.VERSIONS, "latest": indexes.LATEST, "bundle": SUFFIX,
        },
        "page_url": page_of(plan.url),
        "size": size,
        "quote": quote,
    }  # fmt: skip


def _render(template: str, plan: Plan, before: Plan | None, *, escape: bool) -> bytes:
    environment = jinja2.Environment(
        autoescape=escape, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        loader=jinja2.FileSystemLoader(_TEMPLATES), keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template(template).render(_facts(plan, before)).encode()


def page(plan: Plan, before: Plan | None) -> bytes:
    """index.html: one self-contained file, readable in the light and in the dark, on a wide and on a narrow screen."""
    return _render("index.html.j2", plan, before, escape=True)


def notes(plan: Plan, before: Plan | None) -> bytes:
    """The release notes, in Markdown."""
    return _render("notes.md.j2", plan, before, escape=False)
