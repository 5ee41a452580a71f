"""What types can't say of the settings, and the whole way from the file to settings that hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from master.access import choice as access_choice
from master.bucket import choice as bucket_choice
from master.cluster import choice as cluster_choice
from master.complaint import URL, Complaint
from master.fleet import choice as fleet_choice
from master.github import choice as github_choice
from master.home import Home
from master.images import choice as images_choice
from master.notices import choice as notices_choice
from master.pulls import choice as pulls_choice
from master.release import choice as release_choice
from master.retention import choice as retention_choice
from master.secrets import choice as secrets_choice
from master.secrets.named import named
from master.settings.derived import FARM_WORKER, for_master, is_loopback, pull_workers, workers_of
from master.settings.reading import parse, wrong
from master.settings.tables import Settings, WorkerSettings
from master.signing import choice as signing_choice
from master.updates import choice as updates_choice
from master.watch import choice as watch_choice
from workers.errors import Failure, unknown_name
from workers.model import Matrix

WORKER_NAME = re.compile(r"\A[a-z0-9][a-z0-9-]{0,39}\Z")


def _numbers(settings: Settings) -> Iterator[tuple[str, str, float | None, float, float]]:
    """Section, key, value, least and most, of the sections that have no module of their own; None is left out."""
    port, build = (1, 65535), settings.build
    yield "web", "port", settings.web.port, *port
    yield "protocol", "port", settings.protocol.port, *port
    yield "notices", "smtp_port", settings.notices.smtp_port, *port
    yield "repository", "poll_s", settings.repository.poll_s, 1, 86_400
    yield "build", "jobs", build.jobs, 1, 10_000
    for key in ("silent_minutes", "stage_minutes"):
        yield "build", key, getattr(build, key), 1, 100_000
    yield "build", "keep_log_days", build.keep_log_days, 1, 100_000
    for number, one in enumerate(settings.workers or []):
        yield f"workers[{number}]", "max_builds", one.max_builds, 1, 1000
        yield f"workers[{number}]", "disk_gb", one.disk_gb, 0, 1_000_000
    for number, master in enumerate(settings.masters):
        for key in ("web_port", "worker_port"):
            yield f"masters[{number}]", key, getattr(master, key), *port


def _of_worker(worker: WorkerSettings, seen: set[str], matrix: Matrix) -> Iterator[Complaint]:
    if not WORKER_NAME.match(worker.name):
        wanted = "small letters, digits and dashes, at most 40"
        yield Complaint("name", "this is no name for a worker", wanted, repr(worker.name))
    if worker.name in seen:
        yield Complaint("name", "two workers have the same name", "another name for one of them", repr(worker.name))
    if worker.name == FARM_WORKER:
        yield Complaint("name", "the master's own worker is called so", "another name", repr(worker.name))
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
    for section, key, value, least, most in _numbers(settings):
        if value is not None and not least <= value <= most:
            complaint = Complaint(key, "this number can't be used", f"{least} to {most}", repr(value))
            yield section, complaint, "Change it in settings.toml. docs/settings.md lists every setting."
    if settings.web.url is not None and not URL.match(settings.web.url):
        yield (
            "web",
            Complaint("url", "this is no address", "http(s)://host/…", repr(settings.web.url)),
            "See docs/settings.md.",
        )
    seen: set[str] = set()
    for number, worker in enumerate(settings.workers or []):
        for complaint in _of_worker(worker, seen, matrix):
            yield f"workers[{number}]", complaint, "Change it in settings.toml. docs/settings.md lists every setting."
        seen.add(worker.name)
    names = [worker.name for worker in workers_of(settings)]
    loopback = is_loopback(settings.protocol.interface)
    yield "protocol", fleet_choice.protocol_complaint(settings.protocol, loopback=loopback), "See docs/workers.md."
    yield "watch", fleet_choice.watch_complaint(settings.watch), "See docs/workers.md."
    made_by = {worker.name: worker.targets for worker in workers_of(settings)}
    yield "images", images_choice.complaint(settings.images, made_by), "See docs/images.md."
    yield "signing", signing_choice.complaint(settings.signing, names), "See docs/provenance.md."
    whose = cluster_choice.names_complaint(settings.masters, settings.signing.base, settings.web.url)
    yield "signing", whose, "See docs/cluster.md."
    yield "store", bucket_choice.complaint(settings.store), "See docs/cluster.md."
    yield "release", release_choice.complaint(settings.release), "See docs/settings.md."
    users = settings.login.users
    signs_in = access_choice.signs_in(settings.access, users)
    yield "login.users", access_choice.login_complaint(users), "See docs/access.md."
    yield "access", access_choice.complaint(settings.access, users), "See docs/access.md."
    yield "github", github_choice.complaint(settings.github), "See docs/github.md."
    pulls = pulls_choice.complaint(
        settings.pull_requests, has_github=settings.github.repository is not None,
        has_worker=bool(pull_workers(settings)), has_login=signs_in, main_store=settings.store.path,
    )  # fmt: skip
    yield "pull_requests", pulls, "See docs/github.md."
    ports = [settings.web.port, settings.protocol.port]
    yield "metrics", watch_choice.metrics_complaint(settings.metrics, ports), "See docs/watching.md."
    yield "notices", notices_choice.complaint(settings.notices), "See docs/watching.md."
    yield "retention", retention_choice.complaint(settings.retention), "See docs/keeping.md."
    yield "backup", retention_choice.backup_complaint(settings.backup), "See docs/keeping.md."
    yield "health", watch_choice.complaint(settings.health), "See docs/watching.md."
    yield "updates", updates_choice.complaint(settings.updates), "See docs/pins.md."
    secrets = "See docs/secrets.md."
    yield "secrets", secrets_choice.complaint(settings.secrets), secrets
    for section, complaint in secrets_choice.name_complaints(named(settings), settings.secrets.kind):
        yield section, complaint, secrets
    cluster = "See docs/cluster.md."
    yield "database", cluster_choice.database_complaint(settings.database, settings.masters), cluster
    yield "cluster", cluster_choice.cluster_complaint(settings.cluster), cluster
    for number, complaint in cluster_choice.masters_complaints(settings.masters):
        yield f"masters[{number}]", complaint, cluster
    doors = [("web", "interface", settings.web.interface)]
    doors += [(f"masters[{n}]", "web_interface", one.web_interface) for n, one in enumerate(settings.masters)]
    for section, key, interface in doors:
        if not is_loopback(interface) and not signs_in:
            what = "the page would let anyone in the network start builds"
            todo = "Add a user: `python -m master.access NAME` asks for a password and prints the lines for [login]."
            wanted = "127.0.0.1, or a way to sign in ([login], [access])"
            yield section, Complaint(key, what, wanted, interface), todo


def _known(names: Sequence[str], kind: str, known: Sequence[str], place: tuple[Path, str, str, str]) -> None:
    """place: file, its text, section and key. Raises Failure for a name that is not known."""
    path, text, section, key = place
    for number, name in enumerate(names):
        if name not in known:
            said = unknown_name("settings", kind, name, list(known))
            raise wrong(path, text, section, key if len(names) == 1 else f"{key}[{number}]", said.what, todo=said.todo)


def check(settings: Settings, matrix: Matrix, path: Path, text: str = "") -> None:
    """What types can't say. Raises Failure: unknown names (with the known ones), doubled workers, an open door."""
    cells, targets = list(matrix.by_builder_name), list(matrix.targets)
    _known(settings.push.cells or [], "cell", cells, (path, text, "push", "cells"))
    _known(settings.release.cells or [], "cell", cells, (path, text, "release", "cells"))
    _known(settings.pull_requests.cells or [], "cell", cells, (path, text, "pull_requests", "cells"))
    for number, worker in enumerate(settings.workers or []):
        _known(worker.targets, "target", targets, (path, text, f"workers[{number}]", "targets"))
        _known(worker.cross, "target", targets, (path, text, f"workers[{number}]", "cross"))
    _known([settings.push.set], "set", list(matrix.sets), (path, text, "push", "set"))
    _known([settings.release.set], "set", list(matrix.sets), (path, text, "release", "set"))
    if settings.pull_requests.set is not None:
        _known([settings.pull_requests.set], "set", list(matrix.sets), (path, text, "pull_requests", "set"))
    for section, complaint, todo in _complaints(settings, matrix):
        if complaint is not None:
            said = {"wanted": complaint.wanted, "found": complaint.found, "todo": todo}
            raise wrong(path, text, section, complaint.key, complaint.what, **said)


def load(home: Home, matrix: Matrix) -> Settings:
    """The settings of this farm; defaults where there is no file. Raises Failure for anything wrong in it.

    Where the home is one of several masters', its page and its workers' port are those of [web] and [protocol].
    """
    path = home.settings_file
    try:
        text = path.read_text()
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise Failure("settings", f"{path} can't be read", found=str(error), todo="Mend it or move it away.") from error
    settings = parse(text, path)
    check(settings, matrix, path, text)
    return for_master(settings, home.name, path)
