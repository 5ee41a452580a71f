"""What the gate reads: builds from a database that Buildbot's own migrations made, and records from an index."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from master.home import Home
from master.release import standing
from master.release.gate import Built
from master.settings import parse
from master.store import Store
from tests.unit.gate_samples import OURS, REPOSITORY, Builds, commit_of, make_database, record
from workers.errors import Failure
from workers.model import ROOT, load_matrix

CELLS = load_matrix().cells_of("release")[:3]
A, B, C = (cell.builder_name for cell in CELLS)
NAMES = [A, B, C]
COMMIT, OTHER = commit_of(1), commit_of(2)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_database(tmp_path_factory.mktemp("database") / "state.sqlite")


@pytest.fixture
def database(empty: Path, tmp_path: Path) -> Path:
    path = tmp_path / "state.sqlite"
    with sqlite3.connect(empty) as source, sqlite3.connect(path) as target:
        source.backup(target)
    return path


def test_builds_of_the_commit_and_no_others_are_read(database: Path) -> None:
    builds = Builds(database)
    builds.add(OTHER, [(A, 0), (B, 2)])
    first = builds.add(COMMIT, [(A, 0), (B, None), (C, -1), ("cpython-of-another-set", 0)])
    builds.add(COMMIT, [(A, 0)], repository="https://git.example/another")
    found, waiting = standing.builds_of(database, COMMIT, REPOSITORY, NAMES)
    assert found == [Built(A, 2, first[0], 0), Built(B, 2, first[1], None)]
    assert waiting == {B, C}


def test_a_forced_build_on_another_branch_of_the_commit_counts_too(database: Path) -> None:
    Builds(database).add(COMMIT, [(A, 0)], branch="a-topic")
    assert len(standing.builds_of(database, COMMIT, REPOSITORY, NAMES)[0]) == 1


def test_a_build_of_the_commit_with_a_patch_on_it_is_none_of_the_commit(database: Path) -> None:
    """Buildbot's `try` makes those."""
    Builds(database).add(COMMIT, [(A, 0)])
    with sqlite3.connect(database) as connection:
        connection.execute(
            "INSERT INTO patches (id, patchlevel, patch_base64, patch_author, patch_comment) VALUES (7, 0, '', '', '')"
        )
        connection.execute("UPDATE sourcestamps SET patchid = 7")
    assert standing.builds_of(database, COMMIT, REPOSITORY, NAMES) == ([], frozenset())


def test_a_build_that_has_not_ended_has_no_result_whatever_stands_there(database: Path) -> None:
    (build,) = Builds(database).add(COMMIT, [(A, 0)])
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE builds SET complete_at = NULL")
    assert standing.builds_of(database, COMMIT, REPOSITORY, NAMES)[0] == [Built(A, 1, build, None)]


def test_a_buildset_that_ended_well_without_a_build_is_nothing(database: Path) -> None:
    """Buildbot ends a collapsed request as a success."""
    Builds(database).add(COMMIT, [(A, 0)])
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM builds")
        assert connection.execute("SELECT complete, results FROM buildsets").fetchall() == [(1, 0)]
    assert standing.builds_of(database, COMMIT, REPOSITORY, NAMES) == ([], frozenset())


def test_only_the_record_of_the_build_that_counts_is_read(database: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    older, newer, _ = Builds(database).add(COMMIT, [(A, 0), (A, 0), (A, 2)])
    record(store, CELLS[0], COMMIT, 1, older)
    record(store, CELLS[0], COMMIT, 2, newer, provider=OURS, signed=False)
    found = standing.read(database, store, COMMIT, REPOSITORY, NAMES)
    (kept,) = found.kept.values()
    assert (kept.buildid, kept.provider, kept.signed) == (newer, OURS, False)
    assert len(found.builds) == 3


def test_a_broken_record_is_told_and_not_raised(database: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    (build,) = Builds(database).add(COMMIT, [(A, 0)])
    record(store, CELLS[0], COMMIT, 1, build)
    path = store.root / "index" / COMMIT / A / "1.json"
    path.chmod(0o644)
    path.write_text("{}")
    (kept,) = standing.read(database, store, COMMIT, REPOSITORY, NAMES).kept.values()
    assert kept.problem.startswith("its record can't be used: ")


def test_no_database_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="the master's database can't be read"):
        standing.builds_of(tmp_path / "none.sqlite", COMMIT, REPOSITORY, NAMES)


def test_nothing_is_written_to_the_database(database: Path) -> None:
    Builds(database).add(COMMIT, [(A, 0)])
    database.chmod(0o444)
    before = database.read_bytes()
    standing.builds_of(database, COMMIT, REPOSITORY, NAMES)
    assert database.read_bytes() == before


def test_a_commit_that_no_mirror_has_is_off_the_branch(tmp_path: Path) -> None:
    settings = parse("", tmp_path / "settings.toml")
    said = standing.off_branch(Home(tmp_path, ROOT), settings, COMMIT, fetch=False)
    assert said == [f"the commit {COMMIT} is not on main"]


def test_a_commit_that_a_fetch_does_not_bring_is_still_off_the_branch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, fetched = parse("", tmp_path / "settings.toml"), list[str]()
    monkeypatch.setattr(standing, "fetch_now", lambda mirror, url: fetched.append(url))
    said = standing.off_branch(Home(tmp_path, ROOT), settings, COMMIT, fetch=True)
    assert said == [f"the commit {COMMIT} is not on main"]
    assert fetched == [str(ROOT)]


def test_whoever_asks_is_told_of_the_branch_and_of_what_they_know_themselves(tmp_path: Path) -> None:
    settings = parse("", tmp_path / "settings.toml")
    found = standing.ask(
        Home(tmp_path, ROOT), settings, load_matrix(), COMMIT, reasons=["the tag is taken"],
        told=standing.Told([], []),
    )  # fmt: skip
    assert found.reasons == [f"the commit {COMMIT} is not on main", "the tag is taken"]


def test_what_a_release_needs_is_what_the_settings_say(tmp_path: Path) -> None:
    def terms(text: str) -> tuple[bool, bool]:
        found = standing.terms_of(parse(text, tmp_path / "settings.toml"), load_matrix())
        return found.allow_unvalidated, found.signing

    assert terms("") == (False, True)
    assert terms("[release]\nallow_unvalidated = true\n") == (True, True)
    assert terms('[signing]\nprofile = "none"\n') == (False, False)
