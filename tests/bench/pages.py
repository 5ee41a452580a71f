"""How long the farm's pages and people's REST calls take beside a grown farm: `python -m tests.bench.pages`.

Makes a database of that many builds by as many workers (tests/bench/gate.py), starts a real master on it and asks from
outside: the first time, and the median of the times after that. Pages are kept for five seconds: each is asked
again when that is over. Nothing is asserted.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

import click

from master import instance, settings
from master.store import Store
from tests.bench.gate import fill
from tests.integration.farm import Farm, make_repository
from workers.model import load_matrix
from workers.progress import size

WARM = 9
REST = (
    "builders", "builders?limit=100", "builds?limit=50&order=-buildid", "builds?builderid=1&limit=50&order=-number",
    "workers", "buildrequests?complete=false", "changes?limit=50&order=-changeid",
)  # fmt: skip


def people(database: Path, workers: int) -> None:
    """So many workers, the builds shared out among them."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(
            "INSERT INTO workers (name, info, paused, graceful) VALUES (?, '{}', 0, 0)",
            [(f"worker-{one}",) for one in range(workers)],
        )
        connection.execute("UPDATE builds SET workerid = 1 + id % ?", (workers,))


def asked(farm: Farm, path: str) -> tuple[float, list[float], int]:
    """The first and the later times in ms, and the size of the answer."""
    found = []
    length = 0
    for _ in range(WARM + 1):
        began = time.perf_counter()
        answer = farm.http.get(path)
        found.append(1000 * (time.perf_counter() - began))
        answer.raise_for_status()
        length = len(answer.content)
        if path.startswith("pages/"):
            time.sleep(5.1)
    return found[0], found[1:], length


@click.command()
@click.option("--builds", default=50_000, show_default=True)
@click.option("--workers", default=200, show_default=True)
def main(builds: int, workers: int) -> None:
    """Prints the times in ms."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        listed = "".join(
            f'[[workers]]\nname = "worker-{one}"\ntargets = ["x86_64-unknown-linux-gnu"]\n' for one in range(workers)
        )
        farm = Farm(root, pushed=[], more_settings=listed)
        make_repository(farm.repository)
        instance.prepare(farm.home, settings.load(farm.home, load_matrix()))
        commits = fill(farm.home.database, Store(farm.home.root / "store"), builds, str(farm.repository))
        people(farm.home.database, workers)
        print(f"{builds} builds, {len(commits)} commits, {workers} workers, {size(farm.home.database.stat().st_size)}")
        farm.http.timeout = 120
        try:
            farm.up("master")
            name = "cpython-3.13-x86_64-unknown-linux-gnu-pgo-lto"
            pages = ["matrix", f"matrix?sha={commits[0]}", "readiness", f"trends?cell={name}", "workers"]
            for path in (*(f"pages/{one}" for one in pages), *(f"api/v2/{one}" for one in REST)):
                first, later, length = asked(farm, path)
                print(
                    f"{path[:60]:<60} first {first:7.1f} ms, then {statistics.median(later):7.1f} ms "
                    f"(worst {max(later):.1f}), {size(length)}"
                )
        finally:
            farm.close()


if __name__ == "__main__":
    main()
