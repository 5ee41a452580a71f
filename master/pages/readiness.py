"""Which of the recent commits could be released, in the gate's own words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet import threads

from master.access.table import RELEASE
from master.pages import database
from master.pages.database import Commit
from master.pages.matrix import commit_asked
from master.pages.page import NoSuchPage, Page, Query, Source
from master.release.gate import HEADINGS, objections, standing_of
from master.release.model import CellAnswer, Readiness
from workers.errors import Failure

RECENT = 10


@dataclass(frozen=True)
class Snapshot:
    """answers: the gate's, or why it could not answer, a commit each. builderids: of the cells and of `release`."""

    commits: Sequence[Commit]
    answers: Sequence[tuple[Commit, Readiness | str]]
    builderids: dict[str, int]


@dataclass(frozen=True)
class CellLine:
    answer: CellAnswer
    word: str
    builderid: int | None


@dataclass(frozen=True)
class CommitView:
    """standing: "19 of 21 cells are ready". against: the gate's sentences. problem: why it could not answer."""

    commit: Commit
    ready: bool
    standing: str
    against: Sequence[str]
    notes: Sequence[str]
    cells: Sequence[CellLine]
    problem: str = ""


@dataclass(frozen=True)
class View:
    """one: whether a single commit was asked for, whose cells are listed then."""

    commits: Sequence[CommitView]
    one: bool
    release_builder: int | None
    set_name: str


def view_of(commit: Commit, answer: Readiness | str, builderids: dict[str, int]) -> CommitView:
    if isinstance(answer, str):
        return CommitView(commit, False, "", [], [], [], answer)
    against = objections(answer)
    words = {"ready": "ready", **{state: heading.lower() for state, heading in HEADINGS.items()}}
    cells = [CellLine(one, words[one.state], builderids.get(one.builder)) for one in answer.cells]
    return CommitView(commit, answer.ready, standing_of(answer), against, answer.notes, cells)


def model(said: Snapshot, query: Query) -> View:
    views = [view_of(commit, answer, said.builderids) for commit, answer in said.answers]
    sets = [answer.set_name for _, answer in said.answers if isinstance(answer, Readiness)]
    return View(views, bool(query.get("sha")), said.builderids.get(RELEASE), sets[0] if sets else "")


async def snapshot(source: Source, query: Query) -> Snapshot:
    wanted = commit_asked(query)
    names = [RELEASE, *source.matrix.by_builder_name]

    # What pull requests ask for is on other branches, and never released; there may be hundreds of them.
    branch = source.settings.repository.branch

    def work(connection: Any, tables: Any) -> tuple[list[Commit], list[Commit], dict[str, int]]:
        mine = database.commits(connection, tables, source.repository, RECENT, branch)
        commits = database.commits(connection, tables, source.repository, 3 * RECENT) if wanted else mine
        return mine, commits, database.builder_ids(connection, tables, names)

    mine, commits, builderids = await database.read(source.master, work)
    chosen = mine
    if wanted:
        chosen = [one for one in (*mine, *commits) if one.revision == wanted][:1]
        if not chosen and not await threads.deferToThread(_known, source, wanted):
            raise NoSuchPage(f"Nothing was ever asked to be built of {wanted}.")
        chosen = chosen or [Commit(wanted, source.settings.repository.branch, source.now())]
    answers = await threads.deferToThread(lambda: [(one, _ask(source, one.revision)) for one in chosen])
    return Snapshot(mine, answers, builderids)


def _known(source: Source, commit: str) -> bool:
    answer = _ask(source, commit)
    return not isinstance(answer, str) and any(one.state != "missing" for one in answer.cells)


def _ask(source: Source, commit: str) -> Readiness | str:
    try:
        return source.readiness(commit)
    except Failure as failure:
        return str(failure)


PAGE = Page(
    name="readiness",
    title="Readiness",
    about="Which of the recent commits could be released",
    snapshot=snapshot,
    model=model,
    parameters=("sha",),
)
