"""What `[github]` and `[pull_requests]` add to the farm, as parts of Buildbot's configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from master import settings
from master.archives import Archives
from master.github.bridge import Bridge, Setup
from master.github.credentials import Speaker, secret_of
from master.github.hook import Hook, hook_tree
from master.home import Home
from master.pulls import builders
from master.pulls.keeping import PAGE, keeper_of
from master.pulls.names import builder_name
from master.secrets.places import Place, secrets_of
from master.settings import Settings
from workers.errors import Failure
from workers.model import Matrix

SPEAKER = Speaker("github", "github", "[github] webhook_secret_file")
# Of a secret that nobody guesses; GitHub's own advice is a random string of high entropy.
SHORTEST = 20
# A comment is edited less often than a status is set: people get no mail for it, but each edit is kept.
COMMENT_PACES = 10
# However fast the farm may write, after trouble it waits.
SHORTEST_REST_S = 0.05


@dataclass(frozen=True)
class Parts:
    """builders, schedulers, change_sources, projects: for Buildbot. pages: below the page's address, by path."""

    builders: list[Any] = field(default_factory=list)
    schedulers: list[Any] = field(default_factory=list)
    change_sources: list[Any] = field(default_factory=list)
    projects: list[Any] = field(default_factory=list)
    pages: dict[str, Any] = field(default_factory=dict)


def parts_of(home: Home, chosen: Settings, matrix: Matrix, repository: str, main: list[str]) -> Parts:
    """repository: as git knows it; main: the names of main's builders. Raises Failure: the webhook's secret."""
    if chosen.github.repository is None:
        return Parts(pages={"change_hook": hook_tree(None)})
    cells, workers = settings.pull_cells(chosen, matrix), settings.pull_workers(chosen)
    store = settings.pull_store_path(chosen, home)
    require_apart(store, settings.store_path(chosen, home))
    keeper = keeper_of(store, chosen.pull_requests.max_store_gb, chosen.pull_requests.keep_days)
    url, incoming = settings.page_url(chosen), str(settings.uploads_path(chosen, home))
    setup = _setup(home, chosen, repository, keeper=keeper, main=main, pulls=[builder_name(cell) for cell in cells])
    return Parts(
        builders=[builders.pull_builder(cell, workers, chosen, repository, incoming, keeper, url) for cell in cells],
        schedulers=[builders.pull_scheduler(cells, repository)] if cells else [],
        change_sources=[Bridge(setup=setup)],
        projects=[builders.pull_project()] if cells else [],
        pages={"change_hook": hook_tree(_hook(home, chosen)), PAGE: Archives(store)},
    )


def require_apart(store: Path, main: Path) -> None:
    """Raises Failure where pull requests' archives would lie with main's, by whatever path: what is old there is
    dropped."""
    own, other = store.resolve(), main.resolve()
    if own == other or own in other.parents or other in own.parents:
        raise Failure(
            "settings", "[pull_requests] store is not apart from main's archives",
            wanted="a directory of its own, neither in [store] path nor around it",
            found=f"{own}, and {other} is main's",
            todo="Name another. See docs/github.md.",
        )  # fmt: skip


def _setup(home: Home, chosen: Settings, repository: str, *, keeper: Any, main: list[str], pulls: list[str]) -> Setup:
    hub = chosen.github
    return Setup(
        address=hub.api,
        project=str(hub.repository),
        token_file=secrets_of(home.root, chosen.secrets).place(str(hub.token_file)),
        repository=repository,
        branch=chosen.repository.branch,
        page_url=settings.page_url(chosen),
        main=tuple(main),
        pulls=tuple(pulls),
        statuses=hub.statuses,
        comments=hub.comments and bool(pulls),
        same_repository=chosen.pull_requests.same_repository,
        pace_s=hub.pace_s,
        comment_s=COMMENT_PACES * hub.pace_s,
        poll_s=60 * hub.poll_minutes,
        rest_s=max(hub.pace_s, SHORTEST_REST_S),
        keeper=keeper,
    )


def _hook(home: Home, chosen: Settings) -> Hook | None:
    if chosen.github.webhook_secret_file is None:
        return None
    label = chosen.pull_requests.label
    secret = webhook_secret(secrets_of(home.root, chosen.secrets).place(chosen.github.webhook_secret_file))
    return Hook(str(chosen.github.repository), secret, [label] if label is not None else [])


def webhook_secret(path: Place) -> str:
    """The webhook's secret. Raises Failure for one that can be guessed, and repeats nothing of it."""
    secret = secret_of(path, "secret", SPEAKER)
    if len(secret) < SHORTEST:
        raise Failure(
            "github", f"github: the secret in {path} is too short", wanted=f"at least {SHORTEST} random characters",
            found="fewer",
            todo="openssl rand -hex 32 makes one. Whoever guesses it can start builds.",
        )  # fmt: skip
    return secret
