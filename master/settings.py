"""The operator's settings: one optional TOML file, `settings.toml` in MINT_HOME. Every default works."""

from __future__ import annotations

import ipaddress
import platform
import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import msgspec

from master.home import Home
from master.release import choice as release_choice
from master.release.choice import Release
from master.signing import choice
from master.signing.choice import Signing
from workers.errors import Failure, unknown_name
from workers.machine import native_target as native_target
from workers.model import Cell, Matrix

WORKER_NAME = re.compile(r"\A[a-z0-9][a-z0-9-]{0,39}\Z")


@dataclass(frozen=True)
class Web:
    """The web page and REST API. `url` is the address that people use, when a proxy stands in front."""

    port: int = 8010
    interface: str = "127.0.0.1"
    url: str | None = None


@dataclass(frozen=True)
class Protocol:
    """Where workers connect to (Buildbot's PB protocol)."""

    port: int = 9989
    interface: str = "127.0.0.1"


@dataclass(frozen=True)
class Repository:
    """What is built. `url`: a path or any URL that git fetches; workers elsewhere need one that they reach too."""

    url: str | None = None
    branch: str = "main"
    poll_s: int = 10


@dataclass(frozen=True)
class Push:
    """The cells that each push to the branch builds: a set, or cells by builder name; those that have a worker."""

    set: str = "release"
    cells: list[str] | None = None


@dataclass(frozen=True)
class WorkerSettings:
    """A worker that may connect. Without a password file one is made in `secrets/` of MINT_HOME.

    targets: what it builds natively. cross: Linux targets of another processor, whose programs it runs emulated. That
    takes several times as long, so a push builds none of their cells but those that `[push] cells` names.
    """

    name: str
    targets: list[str]
    cross: list[str] = field(default_factory=list)
    password_file: str | None = None
    max_builds: int = 1


@dataclass(frozen=True)
class Sources:
    """Where pinned sources may come from: the options of workers/sources/settings.py, for every worker."""

    mirrors: list[str] = field(default_factory=list)
    offline: str | None = None
    distro: bool = True
    upstream: bool = True


@dataclass(frozen=True)
class Fips:
    """How the FIPS provider is built. `require_validated`: a plan with a provider that is not CMVP-validated fails."""

    procedure: Literal["toolchain", "policy"] = "toolchain"
    slh_dsa: bool = True
    require_validated: bool = False


@dataclass(frozen=True)
class StoreSettings:
    """Where archives are kept: a path, relative to MINT_HOME or absolute. Those above `max_archive_mb` are refused."""

    path: str = "store"
    max_archive_mb: int = 2000


@dataclass(frozen=True)
class Build:
    """jobs: make's job slots on a worker, its number of processors by default. Times in minutes: `silent` without any
    output (training and LTO are silent for long), `stage` for a whole stage."""

    jobs: int | None = None
    silent_minutes: int = 90
    stage_minutes: int = 360
    keep_log_days: int = 90


@dataclass(frozen=True)
class Suite:
    """How much of CPython's own test suite runs on each cell. Left out: what matrix.toml says for its variant."""

    extent: Literal["full", "quick", "none"] | None = None


@dataclass(frozen=True)
class Login:
    """Who may force and stop builds: user name and password hash (`python -m master.access`). Empty: no login."""

    users: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """All of settings.toml. `workers`: unless given, one local worker for this machine's own target."""

    web: Web = field(default_factory=Web)
    protocol: Protocol = field(default_factory=Protocol)
    repository: Repository = field(default_factory=Repository)
    push: Push = field(default_factory=Push)
    workers: list[WorkerSettings] | None = None
    sources: Sources = field(default_factory=Sources)
    fips: Fips = field(default_factory=Fips)
    store: StoreSettings = field(default_factory=StoreSettings)
    build: Build = field(default_factory=Build)
    suite: Suite = field(default_factory=Suite)
    login: Login = field(default_factory=Login)
    signing: Signing = field(default_factory=Signing)
    release: Release = field(default_factory=Release)


LOCAL_WORKER = "local"


def is_loopback(interface: str) -> bool:
    if interface == "localhost":
        return True
    try:
        return ipaddress.ip_address(interface).is_loopback
    except ValueError:
        return False


def line_of(text: str, section: str, key: str) -> int | None:
    """The line (from 1) where `key` stands in `[section]` or `[[section]]` of a TOML text, or that of the section."""
    inside, start = section == "", None
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?", line):
            inside = header.group(1) == section
            start = number if inside and start is None else start
        elif inside and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
    return start


def _wrong(path: Path, text: str, section: str, key: str, what: str, **said: Any) -> Failure:
    line = line_of(text, section, key)
    place = f"{path}:{line}" if line else str(path)
    name = f"[{section}] {key}".strip() if section else key
    return Failure("settings", f"{place}: {name}: {what}", **said)


def _tables(raw: Any) -> list[dict[str, Any]]:
    return [row for row in (raw if isinstance(raw, list) else [raw]) if isinstance(row, dict)]


def _refuse_unknown_keys(raw: dict[str, Any], path: Path, text: str) -> None:
    sections: dict[str, type] = {
        "web": Web,
        "protocol": Protocol,
        "repository": Repository,
        "push": Push,
        "workers": WorkerSettings,
        "sources": Sources,
        "fips": Fips,
        "store": StoreSettings,
        "build": Build,
        "suite": Suite,
        "login": Login,
        "signing": Signing,
        "release": Release,
    }
    for section, content in raw.items():
        if section not in sections:
            raise _wrong(
                path, text, section, "", "there is no such section", todo=f"Known sections: {', '.join(sections)}."
            )
        known = [field.name for field in fields(sections[section])]
        for table in _tables(content):
            for key in table:
                if key not in known:
                    raise _wrong(path, text, section, key, "there is no such key", todo=f"Known: {', '.join(known)}.")


def parse(text: str, path: Path) -> Settings:
    """The settings in a TOML text. Raises Failure that names file, line, key, what was wanted and what was found."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Failure("settings", f"{path} is not TOML", found=str(error), todo="Mend that line.") from error
    _refuse_unknown_keys(raw, path, text)
    try:
        return msgspec.convert(raw, Settings)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$.")
        section, _, key = re.sub(r"\[[0-9.]*\]", "", where.rstrip("`")).partition(".")
        wanted, _, found = message.partition(", got ")
        raise _wrong(
            path,
            text,
            section,
            key,
            "this value can't be used",
            wanted=wanted,
            found=found or None,
            todo="Change it and start again. docs/settings.md lists every setting.",
        ) from error


def check(settings: Settings, matrix: Matrix, path: Path, text: str = "") -> None:
    """What types can't say. Raises Failure: unknown names (with the known ones), doubled workers, an open door."""
    for name in settings.push.cells or []:
        if name not in matrix.by_builder_name:
            raise unknown_name(f"settings: {path}: [push] cells", "cell", name, list(matrix.by_builder_name))
    matrix.cells_of(settings.push.set)
    seen: set[str] = set()
    for worker in settings.workers or []:
        if not WORKER_NAME.match(worker.name):
            raise _wrong(
                path,
                text,
                "workers",
                "name",
                "this is no name for a worker",
                wanted="small letters, digits and dashes, at most 40",
                found=repr(worker.name),
                todo="Choose another.",
            )
        if worker.name in seen:
            raise _wrong(
                path, text, "workers", "name", f"two workers are called {worker.name!r}", todo="Rename one of them."
            )
        seen.add(worker.name)
        for key, targets in (("targets", worker.targets), ("cross", worker.cross)):
            for target in targets:
                if target not in matrix.targets:
                    raise unknown_name(f"settings: {path}: [[workers]] {key}", "target", target, list(matrix.targets))
        for target in worker.cross:
            if matrix.targets[target].os != "linux":
                raise _wrong(
                    path,
                    text,
                    "workers",
                    "cross",
                    f"{target} can't be built on another system",
                    wanted="Linux targets",
                    found=target,
                    todo="Give it a worker of its own system.",
                )
    wrong = choice.complaint(settings.signing, [worker.name for worker in workers_of(settings)])
    if wrong is not None:
        said = {"wanted": wrong.wanted, "found": wrong.found, "todo": "See docs/provenance.md."}
        raise _wrong(path, text, "signing", wrong.key, wrong.what, **said)
    _check_release(settings, matrix, path, text)
    if not is_loopback(settings.web.interface) and not settings.login.users:
        raise _wrong(
            path,
            text,
            "web",
            "interface",
            "the page would let anyone in the network start builds",
            wanted="127.0.0.1, or users in [login]",
            found=settings.web.interface,
            todo="Add a user: `python -m master.access NAME` asks for a password and prints the lines for [login].",
        )


def _check_release(settings: Settings, matrix: Matrix, path: Path, text: str) -> None:
    matrix.cells_of(settings.release.set)
    for name in settings.release.cells or []:
        if name not in matrix.by_builder_name:
            raise unknown_name(f"settings: {path}: [release] cells", "cell", name, list(matrix.by_builder_name))
    wrong = release_choice.complaint(settings.release, list(settings.login.users))
    if wrong is not None:
        said = {"wanted": wrong.wanted, "found": wrong.found, "todo": "See docs/settings.md."}
        raise _wrong(path, text, "release", wrong.key, wrong.what, **said)


def release_cells(settings: Settings, matrix: Matrix) -> list[Cell]:
    """The cells that a release needs, each of them."""
    if settings.release.cells is not None:
        return [matrix.by_builder_name[name] for name in settings.release.cells]
    return list(matrix.cells_of(settings.release.set))


def load(home: Home, matrix: Matrix) -> Settings:
    """The settings of this farm; defaults where there is no file. Raises Failure for anything wrong in it."""
    path = home.settings_file
    try:
        text = path.read_text()
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise Failure("settings", f"{path} can't be read", found=str(error), todo="Mend it or move it away.") from error
    settings = parse(text, path)
    check(settings, matrix, path, text)
    return settings


def workers_of(settings: Settings) -> list[WorkerSettings]:
    """The configured workers; without any, the local one for this machine's own target."""
    if settings.workers is not None:
        return settings.workers
    target = native_target()
    return [WorkerSettings(LOCAL_WORKER, [target])] if target else []


def local_worker(settings: Settings) -> WorkerSettings | None:
    """The worker that `./mint up` starts on this machine: the one called "local"."""
    return next((worker for worker in workers_of(settings) if worker.name == LOCAL_WORKER), None)


def builds(worker: WorkerSettings, cell: Cell) -> bool:
    """Whether a worker builds a cell: natively, or by cross-compiling."""
    return cell.target.triple in worker.targets or cell.target.triple in worker.cross


def worked_cells(settings: Settings, matrix: Matrix) -> list[Cell]:
    """The cells that have a builder: those whose target has a worker."""
    workers = workers_of(settings)
    return [cell for cell in matrix.all_cells() if any(builds(worker, cell) for worker in workers)]


def waiting_cells(settings: Settings, matrix: Matrix) -> list[Cell]:
    """The cells that wait for a worker: never queued, only listed."""
    worked = set(worked_cells(settings, matrix))
    return [cell for cell in matrix.all_cells() if cell not in worked]


def push_cells(settings: Settings, matrix: Matrix) -> list[Cell]:
    """What a push builds: the named cells that have a worker, else those of the set that have a native one."""
    if settings.push.cells is not None:
        worked = set(worked_cells(settings, matrix))
        return [cell for name in settings.push.cells if (cell := matrix.by_builder_name[name]) in worked]
    native = {triple for worker in workers_of(settings) for triple in worker.targets}
    return [cell for cell in matrix.cells_of(settings.push.set) if cell.target.triple in native]


def repository_url(settings: Settings, home: Home) -> str:
    """The repository that is polled and built; by default the checkout's own."""
    return settings.repository.url or str(home.checkout)


def page_url(settings: Settings) -> str:
    """The address of the web page, with a slash at its end."""
    if settings.web.url:
        return settings.web.url.rstrip("/") + "/"
    host = settings.web.interface if settings.web.interface not in ("0.0.0.0", "::") else platform.node()
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{settings.web.port}/"


def store_path(settings: Settings, home: Home) -> Path:
    return home.root / settings.store.path
