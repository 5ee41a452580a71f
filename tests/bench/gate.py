"""How long the gate takes beside a grown farm: `python -m tests.bench.gate --builds 50000`.

Makes a database of that many builds, with the steps and properties that builds of this farm have, and the index of a
store; then asks for one commit, whose 21 cells are built. "cold": the first time, after the kernel was told to forget
the files; "warm": the median of the times after that. Nothing is asserted.
"""

from __future__ import annotations

import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import click

from master.release import standing
from master.release.gate import Terms, judge
from master.store import Store
from tests.unit.gate_samples import REPOSITORY, Builds, commit_of, make_database, record
from workers.model import load_matrix
from workers.progress import size

# Of a real build of this farm: its steps, and its properties with those that Buildbot sets itself.
STEPS, PROPERTIES = 19, 35
WARM = 20


def fill(database: Path, store: Store, builds: int, repository: str = REPOSITORY) -> list[str]:
    """The commits, in the order in which they were built: each cell once, one in ten failed and was built again."""
    cells = load_matrix().cells_of("release")
    chance = random.Random(4)
    commits: list[str] = []

    def rows() -> Iterator[tuple[str, str, int | None]]:
        made = 0
        while made < builds:
            commits.append(commit_of(len(commits)))
            for cell in cells:
                if chance.random() < 0.1:
                    made += 1
                    yield commits[-1], cell.builder_name, 2
                made += 1
                yield commits[-1], cell.builder_name, 0

    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        Builds(database, STEPS, PROPERTIES).add_all(connection, rows(), repository)
        query = (
            "SELECT builders.name, builds.number, builds.id, sourcestamps.revision FROM builds "
            "JOIN builders ON builders.id = builds.builderid "
            "JOIN buildrequests ON buildrequests.id = builds.buildrequestid "
            "JOIN buildset_sourcestamps ON buildset_sourcestamps.buildsetid = buildrequests.buildsetid "
            "JOIN sourcestamps ON sourcestamps.id = buildset_sourcestamps.sourcestampid WHERE builds.results = 0"
        )
        good = connection.execute(query).fetchall()
    by_name = {cell.builder_name: cell for cell in cells}
    # A store that keeps the archives of a hundred commits; retention drops older ones.
    kept = set(commits[-100:])
    for builder, number, buildid, revision in good:
        if revision in kept:
            record(store, by_name[builder], revision, number, buildid)
    return commits


def forget(*paths: Path) -> None:
    """Takes files out of the kernel's cache (posix_fadvise(2)); what is not written yet has to be first."""
    os.sync()
    for top in paths:
        for path in [top, *top.rglob("*")] if top.is_dir() else [top]:
            if path.is_file():
                with path.open("rb") as stream:
                    os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def took_ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


@click.command()
@click.option("--builds", default=50_000, show_default=True)
@click.option("--in", "directory", type=click.Path(path_type=Path, file_okay=False), help="Keep the database there.")
def main(builds: int, directory: Path | None) -> None:
    """Prints the times in ms."""
    with tempfile.TemporaryDirectory() as temporary:
        place = directory or Path(temporary)
        database, store = place / "state.sqlite", Store(place / "store")
        commits = fill(make_database(database), store, builds)
        cells = load_matrix().cells_of("release")
        names = [cell.builder_name for cell in cells]
        terms = Terms("release", cells, frozenset(names))
        print(f"{builds} builds, {len(commits)} commits, {size(database.stat().st_size)}")

        def gate(commit: str) -> bool:
            return judge(commit, terms, standing.read(database, store, commit, REPOSITORY, names)).ready

        for label, commit in (("newest", commits[-1]), ("oldest kept", commits[-100]), ("unknown", "f" * 40)):
            forget(database, store.root)
            cold = took_ms(lambda commit=commit: gate(commit))  # type: ignore[misc]
            warm = [took_ms(lambda commit=commit: gate(commit)) for _ in range(WARM)]  # type: ignore[misc]
            print(
                f"{label:<12} ready {gate(commit)!s:<6} cold {cold:6.1f} ms, warm {statistics.median(warm):6.1f} ms "
                f"(worst {max(warm):.1f})"
            )


if __name__ == "__main__":
    main()
