"""`[pull_requests]` of settings.toml: what is built of a pull request, at whose word, and how much it may take."""

from __future__ import annotations

from dataclasses import dataclass

from master.complaint import Complaint


@dataclass(frozen=True)
class PullRequests:
    """Builds of pull requests: of none, unless `set` or `cells` names some, and a worker is for pull requests.

    set: of matrix.toml; cells: instead, by builder names. same_repository: whether branches of the repository itself
    are built without a word; forks never are. label: of a name, a second way to say it; docs/github.md has what it is
    worth. silent_minutes, stage_minutes: as in [build]. log_mb: of a stage, before it is ended. store: where archives
    go, relative to MINT_HOME or absolute, apart from main's; max_archive_mb: of one, max_store_gb: of all, keep_days.
    """

    set: str | None = None
    cells: list[str] | None = None
    same_repository: bool = True
    label: str | None = None
    silent_minutes: float = 30.0
    stage_minutes: float = 120.0
    log_mb: int = 20
    store: str = "pull-requests"
    max_archive_mb: int = 500
    max_store_gb: float = 20.0
    keep_days: int = 30


def complaint(
    chosen: PullRequests, *, has_github: bool, has_worker: bool, has_login: bool, main_store: str
) -> Complaint | None:
    """What types can't say of `[pull_requests]`, or None. main_store: [store] path."""
    key = "cells" if chosen.cells is not None else "set"
    wanted = chosen.set is not None or bool(chosen.cells)
    if wanted and not has_github:
        return Complaint(key, "nothing tells of pull requests", "repository = ... in [github]", "nothing")
    if wanted and not has_worker:
        return Complaint(key, "no worker builds pull requests", "pull_requests = true in one of [[workers]]", "none")
    if wanted and not has_login:
        what = "without a login what a stranger wrote could control the farm, from a worker on this machine"
        return Complaint(key, what, "a user in [login]", "nobody")
    if chosen.store.rstrip("/") == main_store.rstrip("/") or not chosen.store.strip("/."):
        return Complaint("store", "this is where main's archives are", "a directory of its own", repr(chosen.store))
    if chosen.label is not None and not chosen.label.strip():
        return Complaint("label", "this is no label", "a label's name", repr(chosen.label))
    for name in ("silent_minutes", "stage_minutes", "log_mb", "max_archive_mb", "max_store_gb", "keep_days"):
        if getattr(chosen, name) <= 0:
            return Complaint(name, "there has to be a limit", "more than 0", repr(getattr(chosen, name)))
    return None
