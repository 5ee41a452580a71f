"""What types can't say of the settings, and the whole way from the file to settings that hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from master.complaint import Complaint
from master.fleet import choice as fleet_choice
from master.home import Home
from master.images import choice as images_choice
from master.release import choice as release_choice
from master.settings.derived import is_loopback, workers_of
from master.settings.reading import parse, wrong
from master.settings.tables import Settings, WorkerSettings
from master.signing import choice as signing_choice
from workers.errors import Failure, unknown_name
from workers.model import Matrix

WORKER_NAME = re.compile(r"\A[a-z0-9][a-z0-9-]{0,39}\Z")


def _of_worker(worker: WorkerSettings, seen: set[str], matrix: Matrix) -> Iterator[Complaint]:
    if not WORKER_NAME.match(worker.name):
        wanted = "small letters, digits and dashes, at most 40"
        yield Complaint("name", "this is no name for a worker", wanted, repr(worker.name))
    if worker.name in seen:
        yield Complaint("name", "two workers have the same name", "another name for one of them", repr(worker.name))
    for target in worker.cross:
        if matrix.targets[target].os != "linux":
            yield Complaint("cross", "this can't be built on another system", "Linux targets", target)
    if worker.docker is not None:
        yield from filter(None, [fleet_choice.docker_complaint(worker.docker)])
    if worker.docker is not None and worker.kubernetes is not None:
        yield Complaint("kubernetes", "a worker is one thing", "docker or kubernetes", "both")
    if worker.max_builds != 1 and (worker.docker is not None or worker.kubernetes is not None):
        wanted = "max_builds = 1, and a second worker beside it"
        yield Complaint("max_builds", "a fresh container is for one build", wanted, str(worker.max_builds))


def _complaints(settings: Settings, matrix: Matrix) -> Iterator[tuple[str, Complaint | None, str]]:
    """Section, what is wrong there, what to do."""
    seen: set[str] = set()
    for worker in settings.workers or []:
        for complaint in _of_worker(worker, seen, matrix):
            yield "workers", complaint, "Change it in settings.toml. docs/settings.md lists every setting."
        seen.add(worker.name)
    names = [worker.name for worker in workers_of(settings)]
    loopback = is_loopback(settings.protocol.interface)
    yield "protocol", fleet_choice.protocol_complaint(settings.protocol, loopback=loopback), "See docs/workers.md."
    yield "watch", fleet_choice.watch_complaint(settings.watch), "See docs/workers.md."
    made_by = {worker.name: worker.targets for worker in workers_of(settings)}
    yield "images", images_choice.complaint(settings.images, made_by), "See docs/images.md."
    yield "signing", signing_choice.complaint(settings.signing, names), "See docs/provenance.md."
    users = list(settings.login.users)
    yield "release", release_choice.complaint(settings.release, users), "See docs/settings.md."
    if not is_loopback(settings.web.interface) and not users:
        what = "the page would let anyone in the network start builds"
        todo = "Add a user: `python -m master.access NAME` asks for a password and prints the lines for [login]."
        yield "web", Complaint("interface", what, "127.0.0.1, or users in [login]", settings.web.interface), todo


def _known(names: Sequence[str], kind: str, known: Sequence[str], where: str) -> None:
    for name in names:
        if name not in known:
            raise unknown_name(where, kind, name, list(known))


def check(settings: Settings, matrix: Matrix, path: Path, text: str = "") -> None:
    """What types can't say. Raises Failure: unknown names (with the known ones), doubled workers, an open door."""
    cells, targets = list(matrix.by_builder_name), list(matrix.targets)
    _known(settings.push.cells or [], "cell", cells, f"settings: {path}: [push] cells")
    _known(settings.release.cells or [], "cell", cells, f"settings: {path}: [release] cells")
    for worker in settings.workers or []:
        _known(worker.targets, "target", targets, f"settings: {path}: [[workers]] targets")
        _known(worker.cross, "target", targets, f"settings: {path}: [[workers]] cross")
    matrix.cells_of(settings.push.set)
    matrix.cells_of(settings.release.set)
    for section, complaint, todo in _complaints(settings, matrix):
        if complaint is not None:
            said = {"wanted": complaint.wanted, "found": complaint.found, "todo": todo}
            raise wrong(path, text, section, complaint.key, complaint.what, **said)


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
